// How a video is added: dropped, chosen, fetched from an address, or recorded.

import { call } from "./api.js";
import { button, el, write } from "./dom.js";
import { bytes, duration } from "./format.js";
import { putVideo, select } from "./store.js";
import { T } from "./texts.js";
import { lookKind } from "./transparency.js";
import { startUpload } from "./uploads.js";

export class Adder {
  /** `record()` opens the camera. */
  constructor(settings, record) {
    this.limits = settings.limits;
    this.file = el("input", {
      type: "file", class: "unseen", multiple: true, accept: "video/*,.mkv,.mov,.mxf,.ts", tabindex: -1,
      "aria-label": T.add.choose, "aria-hidden": "true", on: { change: () => this.chosen() },
    });
    this.error = el("p", { class: "error", role: "alert", id: "add-error", hidden: true });
    this.choose = button(T.add.choose, () => this.file.click(), { iconName: "upload", kind: "primary" });
    this.heading = el("h1", { id: "add-heading", textContent: T.add.heading });
    const zone = el("div", { class: "zone" },
      el("p", { class: "zone-title", textContent: T.add.drop }),
      el("div", { class: "row" }, this.choose, this.file, button(T.add.camera, record, { iconName: "camera" })),
      this.urlForm());
    this.element = el("section", { class: "add", "aria-labelledby": "add-heading" },
      this.heading, el("p", { class: "intro", textContent: T.add.intro }), zone, this.error,
      el("p", { class: "limits", textContent: limitsText(settings) }),
      el("p", { class: "limits", textContent: T.add.kept(duration(settings.keep_seconds)) }));
    catchDrops((files) => this.take(files));
  }

  /** Where it lies in a dialog, it is one of many things to do. */
  rename(isInDialog) {
    write(this.heading, isInDialog ? T.add.another : T.add.heading);
  }

  urlForm() {
    this.url = el("input", {
      id: "add-url", type: "text", inputmode: "url", autocomplete: "off", spellcheck: "false",
      placeholder: T.add.urlHint, "aria-describedby": "add-error",
    });
    const fetchIt = (event) => { event.preventDefault(); this.fetch(this.url.value.trim()); };
    return el("form", { class: "url", on: { submit: fetchIt } },
      el("label", { htmlFor: "add-url", textContent: T.add.url }),
      el("div", { class: "row" }, this.url, el("button", { class: "button", type: "submit" }, T.add.fetch)));
  }

  chosen() {
    const files = [...this.file.files];
    this.file.value = "";
    this.take(files);
  }

  /** Send files, one after the other is accepted; a refusal stands below. */
  async take(files) {
    this.fail("");
    if (files.length === 0) {
      this.fail(T.add.noFile);
    }
    for (const file of files) {
      const limit = this.limits.upload_bytes;
      if (limit && file.size > limit) {
        this.fail(T.add.tooLarge(file.name, bytes(file.size), bytes(limit)));
        continue;
      }
      await this.accept(() => startUpload(file));
    }
  }

  async fetch(url) {
    if (!/^https?:\/\/\S+$/i.test(url)) {
      this.fail(T.add.noUrl);
      this.url.focus();
      return;
    }
    await this.accept(async () => {
      const video = await call("POST", "videos", { json: { url, look: await lookKind } });
      putVideo(video);
      this.url.value = "";
      return video;
    });
  }

  async accept(make) {
    try {
      select((await make()).id);
      this.close?.();
    } catch (error) {
      this.fail(error.message);
    }
  }

  fail(sentence) {
    write(this.error, sentence);
    this.error.hidden = !sentence;
    this.failed?.(sentence);
  }
}

function limitsText({ limits }) {
  return T.add.limits({
    bytes: bytes(limits.upload_bytes), duration: duration(limits.duration_seconds),
    pixels: Math.round(limits.frame_pixels / 1e5) / 10,
  });
}

/** Files may be dropped anywhere on the page. */
function catchDrops(take) {
  const veil = el("div", { class: "veil", "aria-hidden": "true", hidden: true },
    el("p", { textContent: T.add.dropAnywhere }));
  document.body.append(veil);
  let depth = 0;
  const show = (change) => { depth = Math.max(0, change); veil.hidden = depth === 0; };
  const hasFiles = (event) => event.dataTransfer?.types.includes("Files");
  addEventListener("dragenter", (event) => { if (hasFiles(event)) { event.preventDefault(); show(depth + 1); } });
  addEventListener("dragleave", () => show(depth - 1));
  addEventListener("dragover", (event) => event.preventDefault());
  addEventListener("drop", (event) => {
    event.preventDefault();
    show(0);
    take([...(event.dataTransfer?.files ?? [])]);
  });
}
