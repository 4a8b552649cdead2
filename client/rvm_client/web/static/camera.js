// A short clip from the camera.

import { button, el, write } from "./dom.js";
import { T } from "./texts.js";

const LIMIT_SECONDS = 30;
const TYPES = ["video/mp4;codecs=avc1", "video/webm;codecs=vp9", "video/webm;codecs=vp8", "video/webm"];

export class Camera {
  /** `use(file)` is called with the clip that the person wants. */
  constructor(limits, use) {
    this.use = use;
    this.limit = Math.min(LIMIT_SECONDS, limits.duration_seconds ?? LIMIT_SECONDS);
    this.view = el("video", { playsInline: true, muted: true, "aria-hidden": "true", tabindex: -1 });
    this.said = el("p", { class: "sentence", role: "status" });
    this.error = el("p", { class: "error", role: "alert", hidden: true });
    this.record = button(T.camera.start, () => this.toggle(), { kind: "primary" });
    this.accept = button(T.camera.use, () => this.done(), { kind: "primary" });
    this.element = el("dialog", { class: "dialog camera", "aria-labelledby": "camera-heading", on: { close: () => this.release() } },
      el("h2", { id: "camera-heading", textContent: T.camera.heading }), this.view, this.said, this.error,
      el("div", { class: "row end" }, button(T.camera.close, () => this.element.close(), { quiet: true }), this.record, this.accept));
    document.body.append(this.element);
  }

  async open() {
    this.element.showModal();
    this.fail("");
    this.clip = null;
    this.show();
    if (!navigator.mediaDevices?.getUserMedia || !window.MediaRecorder) {
      this.fail(T.camera.insecure);
      return;
    }
    try {
      this.stream = await this.devices();
    } catch {
      this.fail(T.camera.refused);
      return;
    }
    this.live();
  }

  /** A camera, with a microphone where there is one. */
  async devices() {
    const video = { width: { ideal: 1280 }, height: { ideal: 720 }, facingMode: "user" };
    try {
      return await navigator.mediaDevices.getUserMedia({ video, audio: true });
    } catch {
      return navigator.mediaDevices.getUserMedia({ video });
    }
  }

  live() {
    this.view.removeAttribute("src");
    this.view.srcObject = this.stream;
    this.view.muted = true;
    this.view.loop = false;
    this.view.play().catch(() => {});
    this.show();
  }

  toggle() {
    if (this.recorder?.state === "recording") {
      this.recorder.stop();
    } else {
      this.clip = null;
      this.live();
      this.start();
    }
  }

  start() {
    const mimeType = TYPES.find((type) => MediaRecorder.isTypeSupported(type));
    const parts = [];
    const recorder = new MediaRecorder(this.stream, { mimeType, videoBitsPerSecond: 6e6 });
    this.recorder = recorder;
    recorder.addEventListener("dataavailable", (event) => parts.push(event.data));
    recorder.addEventListener("stop", () => this.stopped(new Blob(parts, { type: recorder.mimeType })));
    recorder.start(1000);
    const began = Date.now();
    this.timer = setInterval(() => {
      const seconds = Math.floor((Date.now() - began) / 1000);
      write(this.said, T.camera.recording(seconds, this.limit));
      if (seconds >= this.limit && recorder.state === "recording") {
        recorder.stop();
      }
    }, 250);
    this.show();
  }

  stopped(blob) {
    clearInterval(this.timer);
    if (!this.stream) {
      return;
    }
    const suffix = blob.type.includes("mp4") ? "mp4" : "webm";
    const stamp = new Date().toISOString().slice(0, 16).replace("T", " ").replace(":", ".");
    this.clip = new File([blob], `${T.camera.name(stamp)}.${suffix}`, { type: blob.type });
    this.view.srcObject = null;
    this.view.src = this.clipUrl = URL.createObjectURL(blob);
    this.view.loop = true;
    this.view.play().catch(() => {});
    this.show();
    this.accept.focus();
  }

  show() {
    const isRecording = this.recorder?.state === "recording";
    this.record.disabled = !this.stream;
    this.element.classList.toggle("recording", isRecording);
    write(this.record.lastChild, isRecording ? T.camera.stop : this.clip ? T.camera.again : T.camera.start);
    this.record.classList.toggle("primary", !this.clip);
    this.accept.hidden = !this.clip;
    write(this.said, this.clip ? T.camera.done : this.stream ? T.camera.ready : "");
  }

  done() {
    const { clip } = this;
    this.element.close();
    this.use(clip);
  }

  /** Let go of the camera; its light goes out. */
  release() {
    clearInterval(this.timer);
    const { stream } = this;
    this.stream = null;
    if (this.recorder?.state === "recording") {
      this.recorder.stop();
    }
    stream?.getTracks().forEach((track) => track.stop());
    this.view.srcObject = null;
    this.view.removeAttribute("src");
    if (this.clipUrl) {
      URL.revokeObjectURL(this.clipUrl);
    }
  }

  fail(sentence) {
    write(this.error, sentence);
    this.error.hidden = !sentence;
  }
}
