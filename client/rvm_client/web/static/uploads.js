// Files on their way to the server: sent from where it has them, again after a broken connection.

import { ApiError, PAGE_HEADER, call, parsed } from "./api.js";
import { changed, dropVideo, putVideo, subscribe } from "./store.js";
import { T } from "./texts.js";
import { lookKind } from "./transparency.js";

const WAITS_MS = [300, 1000, 2000, 4000, 8000];

const uploads = new Map();

subscribe(({ videos }) => {
  for (const upload of uploads.values()) {
    if (upload.isSent && videos.get(upload.id)?.state !== "uploading") {
      uploads.delete(upload.id);
      URL.revokeObjectURL(upload.localUrl);
    }
  }
});

/** The upload of a video by this page, or undefined. */
export function uploadOf(id) {
  return uploads.get(id);
}

/** Make a video of a file and send it. Returns the video; its upload goes on. */
export async function startUpload(file) {
  const json = { name: file.name, bytes: file.size, look: await lookKind };
  const video = await call("POST", "videos", { json });
  const upload = new Upload(video.id, file);
  uploads.set(video.id, upload);
  putVideo(video);
  upload.run();
  return video;
}

/** Go on with a file that was chosen again after a reload. Returns an error's sentence, or null. */
export function resumeUpload(video, file) {
  if (file.size !== video.total_bytes || file.name !== video.name) {
    return T.upload.otherFile(video.name);
  }
  const upload = new Upload(video.id, file);
  uploads.set(video.id, upload);
  upload.run();
  return null;
}

class Upload {
  constructor(id, file) {
    this.id = id;
    this.file = file;
    this.localUrl = URL.createObjectURL(file);
    this.sentBytes = 0;
    /** Whether the connection is broken and the page waits to go on. */
    this.waiting = false;
    this.cancelled = false;
    this.isSent = false;
    this.request = null;
  }

  async run() {
    let failures = 0;
    while (!this.cancelled) {
      const before = this.sentBytes;
      try {
        this.sentBytes = (await call("GET", `videos/${this.id}`)).received_bytes;
        this.waiting = false;
        if (this.sentBytes >= this.file.size) {
          return this.sent();
        }
        await this.send(this.sentBytes);
        failures = 0;
      } catch (error) {
        if (error.status >= 400 && error.status !== 409 && error.status < 500) {
          return this.end();
        }
        failures = this.sentBytes > before ? 1 : failures + 1;
        await this.wait(WAITS_MS[Math.min(failures, WAITS_MS.length) - 1]);
      }
    }
  }

  /** One PUT with the rest of the file, for it says how far it is. */
  send(offset) {
    return new Promise((resolve, reject) => {
      const request = new XMLHttpRequest();
      this.request = request;
      request.open("PUT", `api/videos/${this.id}/source`);
      request.setRequestHeader("Upload-Offset", String(offset));
      Object.entries(PAGE_HEADER).forEach(([name, value]) => request.setRequestHeader(name, value));
      request.upload.addEventListener("progress", (event) => {
        this.sentBytes = offset + event.loaded;
        changed();
      });
      request.addEventListener("load", () => {
        const answer = parsed(request.responseText) ?? {};
        const sentence = answer.error ?? T.errors.status(request.status);
        request.status < 300 ? resolve(answer) : reject(new ApiError(request.status, sentence));
      });
      ["error", "abort", "timeout"].forEach((name) =>
        request.addEventListener(name, () => reject(new ApiError(0, T.errors.unreachable))));
      request.send(this.file.slice(offset));
    });
  }

  wait(milliseconds) {
    this.waiting = !this.cancelled;
    changed();
    return new Promise((resolve) => {
      setTimeout(resolve, milliseconds);
      addEventListener("online", resolve, { once: true });
    });
  }

  /** All is sent; the browser's own copy is shown until the server has looked at its own. */
  sent() {
    this.isSent = true;
    changed();
  }

  end() {
    uploads.delete(this.id);
    URL.revokeObjectURL(this.localUrl);
    changed();
  }

  cancel() {
    this.cancelled = true;
    this.request?.abort();
    this.end();
  }
}

/** Delete a video, at once; an upload of it stops. */
export async function deleteVideo(id) {
  uploads.get(id)?.cancel();
  await call("DELETE", `videos/${id}`);
  dropVideo(id);
}

const backgrounds = new WeakMap();

/** What a job calls a background: the file is sent once for each video. */
export function backgroundOf(videoId, file) {
  const known = backgrounds.get(file) ?? new Map();
  backgrounds.set(file, known);
  if (!known.has(videoId)) {
    const path = `videos/${videoId}/background?name=${encodeURIComponent(file.name)}`;
    const sent = call("PUT", path, { body: file }).then((answer) => answer.background);
    sent.catch(() => known.delete(videoId));
    known.set(videoId, sent);
  }
  return known.get(videoId);
}
