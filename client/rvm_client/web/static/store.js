// What the server has said: its settings, this session's videos, the machine. The page keeps no
// other state that a reload could lose.

import { call } from "./api.js";

export const store = {
  settings: null,
  videos: new Map(),
  machine: null,
  connected: true,
  selectedId: null,
};

const listeners = new Set();
let source = null;
let retry = null;

/** Call `listener` after each change. */
export function subscribe(listener) {
  listeners.add(listener);
}

export function changed() {
  listeners.forEach((listener) => listener(store));
}

export function selectedVideo() {
  return store.videos.get(store.selectedId) ?? null;
}

export function select(id) {
  store.selectedId = id;
  history.replaceState(null, "", id ? `#${id}` : location.pathname + location.search);
  changed();
}

export function putVideo(video) {
  store.videos.set(video.id, video);
  changed();
}

/** Take a video, or all without an id, out of the list before the server says so. */
export function dropVideo(id) {
  store.videos.delete(id);
  if (store.selectedId === id) {
    store.selectedId = null;
    chooseSome();
  }
  changed();
}

/** Everything anew, from the server. */
export async function reload() {
  const { videos } = await call("GET", "videos");
  store.videos = new Map(videos.map((video) => [video.id, video]));
  chooseSome();
  changed();
}

function chooseSome() {
  if (!store.videos.has(store.selectedId)) {
    const asked = location.hash.slice(1);
    const last = [...store.videos.keys()].at(-1) ?? null;
    store.selectedId = store.videos.has(asked) ? asked : last;
    history.replaceState(null, "", store.selectedId ? `#${store.selectedId}` : location.pathname);
  }
}

/** Follow the server's events, also after it was away. */
export function follow() {
  clearTimeout(retry);
  source?.close();
  source = new EventSource("api/events");
  source.addEventListener("open", () => {
    store.connected = true;
    reload().catch(() => {});
  });
  source.addEventListener("error", lost);
  on("video", (video) => store.videos.set(video.id, video));
  on("job", putJob);
  on("gone", ({ id }) => gone(id));
  on("machine", (machine) => { store.machine = machine; });
}

function on(name, take) {
  source.addEventListener(name, (event) => {
    take(JSON.parse(event.data));
    chooseSome();
    changed();
  });
}

function lost() {
  store.connected = false;
  changed();
  // The browser tries again by itself, but not after an answer that is no stream.
  if (source.readyState === EventSource.CLOSED) {
    retry = setTimeout(follow, 2000);
  }
}

function putJob(job) {
  const video = store.videos.get(job.video_id);
  if (!video) {
    return;
  }
  const jobs = video.jobs.some((old) => old.id === job.id)
    ? video.jobs.map((old) => (old.id === job.id ? job : old))
    : [...video.jobs, job];
  store.videos.set(video.id, { ...video, jobs });
}

function gone(id) {
  store.videos.delete(id);
  for (const video of store.videos.values()) {
    if (video.jobs.some((job) => job.id === id)) {
      const jobs = video.jobs.filter((job) => job.id !== id);
      store.videos.set(video.id, { ...video, jobs });
    }
  }
}
