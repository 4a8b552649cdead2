// What of a video can be looked at: the file itself, its first second, the result of each job.

import { T } from "./texts.js";

/** {key, label} of each result that is there, the best last. */
export function offered(video) {
  const items = [];
  if (video.preview?.state === "done") {
    items.push({ key: "preview", label: T.stage.preview });
  }
  video.jobs.forEach((job, index) => {
    if (job.look?.state === "done") {
      items.push({ key: job.id, label: T.stage.result(index + 1) });
    }
  });
  return items;
}

/** What the stage shows for a key, and the sentence in it while there is no result. */
export function lookOfVideo(video, key, upload) {
  const job = video.jobs.find((one) => one.id === key);
  const look = key === "preview" ? video.preview : job?.look;
  if (look) {
    return { thing: thingOf(video, key, look, job), sentence: "" };
  }
  return { thing: sourceOf(video, upload), sentence: video.state === "failed" ? "" : waitOf(video) };
}

function thingOf(video, key, look, job) {
  return {
    key: `${video.id} ${key} ${look.look_url}`,
    kind: look.kind,
    lookUrl: look.look_url,
    sourceUrl: look.source_url,
    width: look.width, height: look.height, fps: look.fps, frames: look.frames,
    offset: job && look.source_url === video.source_url ? startOf(job.fields) : 0,
    hasSound: video.has_sound,
  };
}

/** Where the result of a job begins in its source, in seconds. */
function startOf({ trim, start_seconds: start }) {
  return trim?.start_seconds ?? start ?? 0;
}

/** The file as this browser plays it: its own copy while it is sent, then the server's. */
function sourceOf(video, upload) {
  const url = upload?.localUrl ?? video.source_url;
  if (!url && !video.poster_url) {
    return null;
  }
  const { width, height, fps, frames, has_sound: hasSound } = video;
  return {
    key: `${video.id} source ${url}`, sourceUrl: url, poster: video.poster_url, isLocal: Boolean(upload),
    width, height, fps, frames, hasSound,
  };
}

function waitOf(video) {
  const waits = T.stage.waits;
  if (video.preview && video.preview.state !== "done") {
    const { state, error } = video.preview;
    return state === "failed" ? error ?? waits.failed : waits[state];
  }
  return waits[video.state] ?? waits.none;
}
