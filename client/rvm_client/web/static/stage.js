// Where a video is looked at: before and after in step, over any background, as close as one likes.

import { AreaLayer, boxBetween } from "./areas.js";
import { backdropLayer, backdropPicker } from "./backdrop.js";
import { button, el, icon, segments, write } from "./dom.js";
import { clock } from "./format.js";
import { Pair } from "./pair.js";
import { Split } from "./split.js";
import { T } from "./texts.js";
import { Zoom } from "./zoom.js";

const VIEWS = ["compare", "result", "matte", "original"];
const calm = matchMedia("(prefers-reduced-motion: reduce)");

export class Stage {
  constructor() {
    this.pair = null;
    this.key = null;
    this.view = "compare";
    this.before = el("div", { class: "before" });
    this.after = el("div", { class: "after" });
    this.areas = new AreaLayer();
    this.drawn = null;
    this.inner = el("div", { class: "inner" }, backdropLayer(), this.after, this.before, this.areas.element);
    this.wait = el("p", { class: "wait" });
    this.frame = el("div", { class: "frame", tabindex: 0, role: "group", "aria-label": T.stage.label });
    this.split = new Split(this.frame, this.before);
    this.zoom = new Zoom(this.frame, this.inner, () => this.split.apply());
    this.split.inside = (fraction) => this.zoom.inside(fraction);
    this.frame.append(this.inner, this.split.element, ...tags(), this.wait);
    this.split.apply();
    this.element = this.build();
    this.listen();
    this.show(null);
  }

  build() {
    const views = VIEWS.map((value) => ({
      value, label: T.stage.view[value], title: T.stage.viewTitle[value],
    }));
    this.views = segments(T.stage.views, views, this.view, (view) => this.setView(view));
    this.looking = el("select", { "aria-label": T.stage.looking });
    this.note = el("p", { class: "note", hidden: true });
    return el("section", { class: "stage", "aria-label": T.stage.views },
      el("div", { class: "stage-top" }, this.views.element, this.looking),
      this.frame, this.buildControls(), this.note,
      el("div", { class: "stage-bottom" }, backdropPicker(), el("p", { class: "keys", textContent: T.stage.keys })));
  }

  buildControls() {
    const quiet = (text, iconName, listener) => button(text, listener, { iconName, quiet: true, onlyIcon: true });
    this.playButton = quiet(T.stage.play, "play", () => this.toggle());
    this.soundButton = quiet(T.stage.silent, "silent", () => this.toggleSound());
    this.time = el("input", {
      type: "range", class: "time", min: 0, max: 1, step: 1, value: 0, "aria-label": T.stage.time,
      on: { input: () => this.seekFrame(Number(this.time.value)) },
    });
    this.said = el("output", { class: "said" });
    return el("div", { class: "controls" },
      this.playButton,
      quiet(T.stage.back, "back", () => this.pair?.step(-1)),
      quiet(T.stage.next, "next", () => this.pair?.step(1)),
      this.time, this.said, this.soundButton, this.zoom.element);
  }

  listen() {
    this.frame.addEventListener("pointerdown", (event) => this.drag(event));
    this.element.addEventListener("keydown", (event) => this.press(event));
  }

  /** Offer what can be looked at: {key, label} each; `choose(key)` where a person did. */
  offer(items, chosenKey, choose) {
    const now = JSON.stringify(items);
    if (this.offered !== now) {
      this.offered = now;
      this.looking.replaceChildren(
        ...items.map((item) => el("option", { value: item.key, textContent: item.label })));
    }
    this.looking.hidden = items.length < 2;
    this.looking.value = chosenKey;
    this.looking.onchange = () => choose(this.looking.value);
  }

  /**
   * Show a thing: {key, kind, lookUrl, sourceUrl, poster, width, height, fps, frames, offset,
   * hasSound}, or null; `sentence` stands in the picture while there is no result.
   */
  show(thing, sentence = "") {
    write(this.wait, sentence);
    this.wait.hidden = !sentence;
    if ((thing?.key ?? null) !== this.key) {
      this.key = thing?.key ?? null;
      this.load(thing);
    }
  }

  load(thing) {
    this.pair?.close();
    this.pair = null;
    this.thing = thing;
    const source = thing?.sourceUrl ? videoOf(thing.sourceUrl, thing.poster) : null;
    const look = thing?.lookUrl ? lookOf(thing) : null;
    this.before.replaceChildren(...(source ? [source] : []));
    this.after.replaceChildren(...(look ? [look.element] : []));
    this.zoom.reset();
    this.frame.style.setProperty("--width", thing?.width || 16);
    this.frame.style.setProperty("--height", thing?.height || 9);
    this.element.classList.toggle("empty", !source && !look);
    this.views.disable(look ? (source ? [] : ["compare", "original"]) : ["compare", "result", "matte"]);
    this.soundButton.hidden = !thing?.hasSound || !source;
    this.fail(thing?.kind === "stacked" && look ? T.stage.stacked : "");
    this.setView(this.view);
    if (source || look) {
      this.start(look?.video ?? source, look ? source : null, thing);
    }
  }

  start(leader, follower, thing) {
    const pair = new Pair(leader, follower, thing, (seconds) => this.tick(seconds));
    this.pair = pair;
    const count = () => thing.frames || Math.max(1, Math.round(pair.duration * pair.fps));
    follower?.addEventListener("loadedmetadata", () => {
      if (!pair.playing || pair.offset) {
        pair.seek(pair.lead.seconds);
      }
    });
    leader.addEventListener("loadedmetadata", () => {
      this.time.max = String(count() - 1);
      if (!thing.width) {
        this.frame.style.setProperty("--width", leader.videoWidth || 16);
        this.frame.style.setProperty("--height", leader.videoHeight || 9);
      }
    });
    leader.addEventListener("error", () => this.fail(thing.isLocal ? T.stage.waits.unplayable : T.stage.cannotPlay));
    ["play", "pause"].forEach((name) => leader.addEventListener(name, () => this.tick(leader.currentTime)));
    this.count = count;
    this.tick(0);
    if (!calm.matches) {
      pair.play();
    }
  }

  /** The view that can be shown: without a result, the original. */
  get shownView() {
    const hasLook = Boolean(this.thing?.lookUrl);
    const hasSource = Boolean(this.thing?.sourceUrl);
    if (!hasLook) {
      return "original";
    }
    return hasSource || this.view === "matte" ? this.view : "result";
  }

  setView(view) {
    this.view = view;
    this.frame.dataset.view = this.shownView;
    this.views.choose(this.shownView);
  }

  fail(sentence) {
    write(this.note, sentence);
    this.note.hidden = !sentence;
  }

  toggle() {
    if (this.pair) {
      this.pair.playing ? this.pair.pause() : this.pair.play();
    }
  }

  toggleSound() {
    const source = this.before.firstElementChild;
    source.muted = !source.muted;
    this.soundButton.replaceChildren(icon(source.muted ? "silent" : "sound"));
    this.soundButton.setAttribute("aria-label", source.muted ? T.stage.silent : T.stage.sound);
  }

  /** Seconds of the frame that is shown. */
  get seconds() {
    return this.pair ? this.pair.frame / this.pair.fps : 0;
  }

  seekFrame(index) {
    this.pair?.seek((index + 0.5) / this.pair.fps);
  }

  tick(seconds) {
    if (!this.pair) {
      return;
    }
    const index = Math.min(Math.floor(seconds * this.pair.fps + 1e-6), this.count() - 1);
    this.time.value = String(index);
    this.time.setAttribute("aria-valuetext", T.stage.frame(index + 1, this.count()));
    write(this.said, `${clock(index / this.pair.fps)} · ${index + 1}/${this.count()}`);
    const name = this.pair.playing ? "pause" : "play";
    if (this.playButton.dataset.shows !== name) {
      this.playButton.dataset.shows = name;
      this.playButton.replaceChildren(icon(name));
      this.playButton.setAttribute("aria-label", T.stage[name]);
      this.playButton.title = T.stage[name];
    }
  }

  /** Show boxes over the picture, as in areas.js. */
  showAreas(list) {
    this.areas.show(list);
  }

  /** Let the next drag draw a box, each state of which `drawn` gets; null: no longer. */
  draw(drawn) {
    this.drawn = drawn;
    this.frame.classList.toggle("drawing", Boolean(drawn));
  }

  /** A drag draws a box, moves the slider, or the picture where it is larger than its frame. */
  drag(event) {
    if (event.button !== 0 || event.target === this.split.input) {
      return;
    }
    if (this.drawn) {
      const { drawn } = this;
      const from = this.zoom.pictured(event);
      this.follow(event, (now) => drawn(boxBetween(from, this.zoom.pictured(now))), () => this.draw(null));
      return;
    }
    const onHandle = event.target.closest(".handle");
    const slides = this.frame.dataset.view === "compare" && (onHandle || this.zoom.scale === 1);
    if (!slides && this.zoom.scale === 1) {
      return;
    }
    let last = event;
    const move = (now) => {
      slides ? this.split.follow(now) : this.zoom.move(now.clientX - last.clientX, now.clientY - last.clientY);
      last = now;
    };
    if (slides) {
      this.split.follow(event);
    }
    this.follow(event, move);
  }

  /** Call `move` with each event of a drag that begins, and `ended` at its end. */
  follow(event, move, ended = () => {}) {
    const over = new AbortController();
    const { signal } = over;
    const end = () => { over.abort(); ended(); };
    this.frame.setPointerCapture(event.pointerId);
    this.frame.addEventListener("pointermove", move, { signal });
    this.frame.addEventListener("pointerup", end, { signal });
    this.frame.addEventListener("pointercancel", end, { signal });
  }

  press(event) {
    const onInput = event.target.closest("input, select, button");
    const action = KEYS[event.key];
    const isArrow = event.key.startsWith("Arrow") || event.key === "Home" || event.key === "End";
    if (!action || event.ctrlKey || event.metaKey || event.altKey) {
      return;
    }
    if (onInput && (isArrow || event.key === " ")) {
      return;
    }
    event.preventDefault();
    action(this);
  }
}

const KEYS = {
  " ": (stage) => stage.toggle(),
  ",": (stage) => stage.pair?.step(-1),
  ".": (stage) => stage.pair?.step(1),
  ArrowLeft: (stage) => stage.pair?.step(-1),
  ArrowRight: (stage) => stage.pair?.step(1),
  Home: (stage) => stage.seekFrame(0),
  End: (stage) => stage.seekFrame(1e9),
  "+": (stage) => stage.zoom.by(2),
  "=": (stage) => stage.zoom.by(2),
  "-": (stage) => stage.zoom.by(0.5),
  0: (stage) => stage.zoom.reset(),
};

function tags() {
  return ["before", "after"].map((name) =>
    el("span", { class: `tag of-${name}`, "aria-hidden": "true", textContent: T.stage[name] }));
}

function videoOf(src, poster) {
  return el("video", {
    src, poster, muted: true, playsInline: true, preload: "auto", "aria-hidden": "true", tabindex: -1,
  });
}

/** The element that shows a result, and the video inside of it. */
function lookOf(thing) {
  if (thing.kind !== "stacked") {
    const video = videoOf(thing.lookUrl);
    return { element: video, video };
  }
  const element = el("stacked-alpha-video", {
    src: thing.lookUrl, muted: "", playsinline: "", "aria-hidden": "true",
  });
  return { element, video: element.video };
}
