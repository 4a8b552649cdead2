// How a video comes: its upload or fetch, shown above it until it is there, or why it is not.

import { button, el, write } from "./dom.js";
import { bytes, percent } from "./format.js";
import { T } from "./texts.js";
import { resumeUpload, uploadOf } from "./uploads.js";

export class Arrival {
  /** `cancel(video)` deletes it. */
  constructor(cancel) {
    this.video = null;
    this.said = el("p", { class: "arrival-said" });
    this.bar = el("progress", { max: 1, "aria-label": T.upload.label });
    this.error = el("p", { class: "error", role: "alert", hidden: true });
    this.file = el("input", { type: "file", class: "unseen", "aria-label": T.upload.goOn, on: { change: () => this.again() } });
    this.goOn = button(T.upload.goOn, () => this.file.click(), { iconName: "upload" });
    this.cancel = button(T.upload.cancel, () => cancel(this.video), { quiet: true });
    this.element = el("section", { class: "arrival", "aria-label": T.upload.label }, this.said, this.bar,
      this.error, el("div", { class: "row" }, this.goOn, this.file, this.cancel));
  }

  again() {
    if (this.file.files.length) {
      this.fail(resumeUpload(this.video, this.file.files[0]));
      this.file.value = "";
    }
  }

  fail(sentence) {
    write(this.error, sentence ?? "");
    this.error.hidden = !sentence;
  }

  update(video) {
    if (this.video?.id !== video.id) {
      this.fail(null);
    }
    this.video = video;
    const upload = uploadOf(video.id);
    const isComing = video.state === "uploading" || video.state === "fetching";
    const isWhole = video.state === "uploading" && video.received_bytes >= video.total_bytes;
    const isPaused = video.state === "uploading" && !upload && !isWhole;
    this.element.hidden = !isComing && video.state !== "failed";
    this.bar.hidden = this.cancel.hidden = !isComing;
    this.goOn.hidden = this.file.hidden = !isPaused;
    this.element.classList.toggle("waiting", Boolean(upload?.waiting));
    if (video.state === "failed") {
      this.fail(video.error);
      write(this.said, "");
    } else if (isComing) {
      this.progress(video, upload, isPaused, isWhole);
    }
  }

  progress(video, upload, isPaused, isWhole) {
    if (isWhole) {
      write(this.said, T.upload.looking);
      this.bar.removeAttribute("value");
      return;
    }
    const sent = upload?.sentBytes ?? video.received_bytes;
    const share = video.total_bytes ? sent / video.total_bytes : 0;
    if (video.total_bytes) {
      this.bar.value = share;
    } else {
      this.bar.removeAttribute("value");
    }
    const far = video.total_bytes
      ? T.upload.progress(bytes(sent), bytes(video.total_bytes), percent(share)) : bytes(sent);
    const why = isPaused ? T.upload.paused : upload?.waiting ? T.upload.waiting : "";
    const what = video.state === "fetching" ? T.upload.fetching : "";
    write(this.said, [far, why, what].filter(Boolean).join(". "));
  }
}
