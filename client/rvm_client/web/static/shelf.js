// The list of this session's videos.

import { button, el, icon, write } from "./dom.js";
import { percent } from "./format.js";
import { select, store } from "./store.js";
import { T } from "./texts.js";
import { uploadOf } from "./uploads.js";

export class Shelf {
  /** `add` is called to add a video, `remove(video)` to delete one. */
  constructor(add, remove) {
    this.remove = remove;
    this.cards = new Map();
    this.list = el("ul", { class: "cards" });
    const adder = button(T.add.another, add, { iconName: "plus", kind: "adder" });
    this.element = el("nav", { class: "shelf", "aria-label": T.shelf.heading }, adder, this.list);
  }

  update() {
    this.element.hidden = store.videos.size === 0;
    for (const [id, card] of this.cards) {
      if (!store.videos.has(id)) {
        card.element.remove();
        this.cards.delete(id);
      }
    }
    for (const video of store.videos.values()) {
      if (!this.cards.has(video.id)) {
        const card = cardOf(video, () => this.remove(store.videos.get(video.id)));
        this.cards.set(video.id, card);
        this.list.append(card.element);
      }
      this.cards.get(video.id).update(video);
    }
  }
}

function cardOf(video, remove) {
  const thumb = el("span", { class: "thumb" }, icon("picture"));
  const state = el("span", { class: "card-state" });
  const bar = el("span", { class: "card-bar" });
  const open = el("button", { type: "button", class: "card-open", on: { click: () => select(video.id) } },
    thumb, el("span", { class: "card-texts" }, el("span", { class: "card-name", textContent: video.name }), state), bar);
  const bin = button(T.shelf.remove(video.name), remove, { iconName: "bin", quiet: true, onlyIcon: true });
  let poster = null;
  const update = (now) => {
    const { text, share } = stateOf(now);
    write(state, text);
    bar.style.setProperty("--share", share ?? 0);
    bar.hidden = share === null;
    open.setAttribute("aria-current", String(now.id === store.selectedId));
    if (now.poster_url && now.poster_url !== poster) {
      poster = now.poster_url;
      thumb.replaceChildren(el("img", { src: poster, alt: "" }));
    }
  };
  return { element: el("li", { class: "card" }, open, bin), update };
}

/** One word or two on a video, and how far it is where it is under way. */
function stateOf(video) {
  if (video.state === "uploading") {
    return uploadState(video);
  }
  if (video.state === "fetching") {
    const share = video.total_bytes ? video.received_bytes / video.total_bytes : null;
    return { text: T.shelf.fetching(share === null ? "" : percent(share)), share: share ?? 0 };
  }
  if (video.state === "failed") {
    return { text: T.shelf.failed, share: null };
  }
  const working = video.jobs.find((job) => ["queued", "working"].includes(job.state));
  if (working) {
    const share = working.frames_expected ? working.frames_done / working.frames_expected : 0;
    return { text: T.shelf.working(percent(share)), share };
  }
  const done = video.jobs.filter((job) => job.state === "done").length;
  return { text: done ? T.shelf.done(done) : T.shelf.ready, share: null };
}

function uploadState(video) {
  const upload = uploadOf(video.id);
  const share = (upload?.sentBytes ?? video.received_bytes) / (video.total_bytes || 1);
  if (video.received_bytes >= video.total_bytes) {
    return { text: T.shelf.looking, share: 1 };
  }
  if (upload?.waiting) {
    return { text: T.shelf.waiting, share };
  }
  return { text: (upload ? T.shelf.uploading : T.shelf.paused)(percent(share)), share };
}
