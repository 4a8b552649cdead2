// The page: its parts, and which video they show.

import { Adder } from "./adder.js";
import { call } from "./api.js";
import { Arrival } from "./arrival.js";
import { Camera } from "./camera.js";
import { confirmed } from "./dialogs.js";
import { announce, button, el } from "./dom.js";
import { Header, restoreTheme } from "./header.js";
import { askPassword } from "./login.js";
import { Panel } from "./panel.js";
import { Results } from "./results.js";
import { Shelf } from "./shelf.js";
import { Stage } from "./stage.js";
import { changed, follow, reload, selectedVideo, store, subscribe } from "./store.js";
import { T } from "./texts.js";
import { lookOfVideo, offered } from "./looks.js";
import { lookKind } from "./transparency.js";
import { deleteVideo, uploadOf } from "./uploads.js";

class Page {
  constructor(settings) {
    this.settings = settings;
    /** What was said of each video. */
    this.said = new Map();
    /** What a person wants to look at, by video; without it, the newest. */
    this.wanted = new Map();
    this.header = new Header(() => this.forget());
    this.camera = new Camera(settings.limits, (file) => this.adder.take([file]));
    this.adder = new Adder(settings, () => this.camera.open());
    this.shelf = new Shelf(() => this.openAdder(), (video) => this.remove(video));
    this.arrival = new Arrival((video) => this.remove(video));
    this.stage = new Stage();
    this.results = new Results((job) => this.want(job.video_id, job.id));
    this.side = el("div", { class: "side" });
    this.work = el("div", { class: "work", hidden: true },
      el("div", { class: "look" }, this.arrival.element, this.stage.element, this.results.element), this.side);
    this.main = el("main", { id: "main", tabindex: -1 }, this.adder.element, this.work);
    this.buildDialog();
    document.body.append(this.header.element, this.shelf.element, this.main);
    subscribe(() => this.update());
  }

  /** Where videos are there already, more of them are added in a dialog. */
  buildDialog() {
    const close = button(T.camera.close, () => this.dialog.close(), { iconName: "close", quiet: true, onlyIcon: true });
    this.dialog = el("dialog", { class: "dialog wide", "aria-labelledby": "add-heading" }, close);
    document.body.append(this.dialog);
    this.adder.close = () => this.dialog.close();
    this.adder.failed = (sentence) => { if (sentence && store.videos.size) this.openAdder(); };
  }

  openAdder() {
    if (!this.dialog.open) {
      this.dialog.showModal();
    }
  }

  /** The adder fills an empty page, and lies in its dialog otherwise. */
  placeAdder() {
    const home = store.videos.size ? this.dialog : this.main;
    if (this.adder.element.parentElement !== home) {
      this.dialog.close();
      this.adder.rename(home === this.dialog);
      home === this.main ? home.prepend(this.adder.element) : home.append(this.adder.element);
    }
  }

  update() {
    const video = selectedVideo();
    this.header.update();
    this.shelf.update();
    this.placeAdder();
    this.work.hidden = !video;
    document.title = video ? `${video.name} · ${T.title}` : T.title;
    if (!video) {
      this.stage.show(null);
      this.panel = null;
      return;
    }
    if (this.panel?.video.id !== video.id) {
      this.panel?.close();
      this.panel = new Panel(this.settings, video, this.stage, (job) => this.started(job));
      this.side.replaceChildren(this.panel.element);
    }
    this.panel.update(video);
    this.arrival.update(video);
    this.look(video);
  }

  look(video) {
    const items = offered(video);
    const wanted = this.wanted.get(video.id);
    const key = items.some((item) => item.key === wanted) ? wanted : items.at(-1)?.key;
    const { thing, sentence } = lookOfVideo(video, key, uploadOf(video.id));
    this.stage.show(thing, sentence);
    this.stage.offer(items, key, (chosen) => this.want(video.id, chosen));
    this.results.update(video, key);
    this.say(video);
  }

  /** Tell a screen reader what has come since the last time. */
  say(video) {
    const before = this.said.get(video.id);
    const now = { state: video.state, preview: video.preview?.state };
    this.said.set(video.id, now);
    if (before?.state === "uploading" && now.state === "ready") {
      announce(T.upload.arrived(video.name));
    }
    if (before && before.preview !== "done" && now.preview === "done") {
      announce(T.stage.previewReady);
    }
  }

  want(videoId, key) {
    this.wanted.set(videoId, key);
    this.stage.frame.scrollIntoView({ block: "nearest" });
    changed();
  }

  /** A new job is looked at as soon as it is done. */
  started(job) {
    this.wanted.delete(job.video_id);
  }

  async remove(video) {
    if (await confirmed(T.remove.heading(video.name), T.remove.text)) {
      await this.attempt(() => deleteVideo(video.id), T.remove.gone(video.name));
    }
  }

  async forget() {
    if (await confirmed(T.remove.allHeading, T.remove.allText)) {
      await this.attempt(() => forgetAll(), T.remove.allGone);
    }
  }

  async attempt(act, said) {
    try {
      await act();
      announce(said);
    } catch (error) {
      this.arrival.fail(error.message);
    }
    document.getElementById("main").focus();
  }
}

async function forgetAll() {
  [...store.videos.keys()].forEach((id) => uploadOf(id)?.cancel());
  await call("POST", "forget");
  sessionStorage.clear();
  await reload();
}

async function open() {
  store.selectedId = location.hash.slice(1) || null;
  try {
    await reload();
  } catch (error) {
    if (error.status === 401) {
      return;
    }
    store.connected = false;
  }
  follow();
  changed();
}

async function start() {
  restoreTheme();
  try {
    [store.settings] = await Promise.all([call("GET", "settings"), lookKind]);
  } catch (error) {
    document.body.append(el("main", { class: "login" }, el("p", { class: "error", role: "alert", textContent: error.message })));
    return;
  }
  let page = null;
  const enter = () => {
    page ??= new Page(store.settings);
    page.main.hidden = false;
    open();
  };
  document.addEventListener("locked", () => locked(page, enter));
  if (store.settings.needs_password) {
    askPassword(enter);
  } else {
    enter();
  }
}

/** The session is over: the password again, or a new session, which comes with the page. */
async function locked(page, enter) {
  if (document.querySelector(".login")) {
    return;
  }
  const { needs_password: needsPassword } = await call("GET", "settings");
  if (!needsPassword) {
    location.reload();
  } else if (!document.querySelector(".login")) {
    if (page) {
      page.main.hidden = true;
    }
    askPassword(enter);
  }
}

start();
