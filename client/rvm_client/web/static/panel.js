// What is to be made of a video: files, options, an estimate, the start; and the same as code.

import { ApiError, call } from "./api.js";
import { backdrop, onBackdrop } from "./backdrop.js";
import { fittingRows, initialChoices, isUsual, jobFields, outputRows, outputTexts, rowOfError } from "./choices.js";
import { CodeBox } from "./code.js";
import { controlOf } from "./controls.js";
import { announce, button, el, write } from "./dom.js";
import { bytes, duration } from "./format.js";
import { lookKind } from "./transparency.js";
import { T } from "./texts.js";
import { backgroundOf } from "./uploads.js";

const CALM_MS = 350;

/** The choices of each video outlive a reload in this tab. */
const kept = {
  read: (id) => JSON.parse(sessionStorage.getItem(`choices ${id}`) ?? "null"),
  write: (id, choices) => sessionStorage.setItem(`choices ${id}`, JSON.stringify(choices)),
};

export class Panel {
  /** `stage` is where the video is looked at; `started(job)` is called with a new job. */
  constructor(settings, video, stage, started) {
    this.settings = settings;
    this.video = video;
    this.started = started;
    this.stage = stage;
    stage.showAreas([]);
    this.choices = { ...initialChoices(settings), ...kept.read(video.id) };
    this.code = new CodeBox();
    this.controls = new Map();
    this.rows = el("div", { class: "options" });
    this.moreRows = el("div", { class: "options" });
    this.estimate = el("p", { class: "estimate", "aria-live": "polite" });
    this.error = el("p", { class: "error", role: "alert", hidden: true });
    this.startButton = button(T.panel.start, () => this.start(), { kind: "primary" });
    this.element = el("section", { class: "panel", "aria-labelledby": "panel-heading" },
      el("h2", { id: "panel-heading", textContent: T.panel.heading }),
      this.outputs(), this.rows,
      el("details", { class: "more" }, el("summary", { textContent: T.panel.more }), this.moreRows),
      el("div", { class: "start" }, this.estimate, this.error, this.startButton),
      this.code.element);
    this.unfollow = onBackdrop(() => this.backdropChanged());
    this.arrange();
  }

  /** The page shows another video now. */
  close() {
    clearTimeout(this.asked);
    this.question?.abort();
    this.unfollow();
    this.stage.draw(null);
    this.stage.showAreas([]);
  }

  get context() {
    const facts = this.settings.output_types.filter((type) => this.choices.types.includes(type.name));
    return {
      facts, backdrop, video: this.video, settings: this.settings, values: this.choices.values,
      stage: this.stage,
    };
  }

  outputs() {
    this.outputsError = el("p", { class: "error", role: "alert", hidden: true });
    return el("fieldset", { class: "outputs" },
      el("legend", { class: "label", textContent: T.panel.outputs }),
      el("p", { class: "sentence", textContent: T.panel.outputsHint }),
      ...this.outputRows(), this.outputsError);
  }

  outputRows() {
    const types = outputRows(this.settings);
    const rows = (isShown) => types.filter((type) => isUsual(type.name) === isShown).map((type) => this.outputRow(type));
    const isRareChosen = this.choices.types.some((name) => !isUsual(name));
    const rare = el("details", { open: isRareChosen }, el("summary", { textContent: T.panel.moreOutputs }), rows(false));
    return [...rows(true), rare];
  }

  outputRow({ name, suffix }) {
    const { label, plays } = outputTexts(name);
    const input = el("input", {
      type: "checkbox", value: name, checked: this.choices.types.includes(name),
      on: { change: () => this.chooseType(name, input.checked) },
    });
    return el("label", { class: "output" }, input,
      el("span", {}, el("span", { class: "output-label" }, label, el("code", { textContent: suffix })),
        el("span", { class: "sentence", textContent: plays })));
  }

  chooseType(name, isChosen) {
    const others = this.choices.types.filter((type) => type !== name);
    this.choices.types = isChosen ? [...others, name] : others;
    this.changed();
  }

  /** A colour or a picture chosen in the viewer is meant for the file, too. */
  backdropChanged() {
    const chosen = backdrop.kind === "checker" ? "green" : "viewer";
    this.choices.values.background = chosen;
    this.changed();
  }

  changed() {
    kept.write(this.video.id, this.choices);
    this.arrange();
    this.ask();
  }

  /** Show the rows that fit, in their order; a control that stays keeps its focus. */
  arrange() {
    const context = this.context;
    const rows = fittingRows(context);
    for (const row of rows) {
      if (!this.controls.has(row.name)) {
        const value = this.choices.values[row.name] ?? row.initial;
        const change = (now) => { this.choices.values[row.name] = now; this.changed(); };
        this.controls.set(row.name, { row, ...controlOf(row, value, change, context) });
        this.place(row);
      }
    }
    for (const control of this.controls.values()) {
      control.element.hidden = !rows.includes(control.row);
      control.update(context);
    }
  }

  place(row) {
    const box = row.more ? this.moreRows : this.rows;
    const behind = [...this.controls.values()].filter((one) => Boolean(one.row.more) === Boolean(row.more));
    const order = fittingRows(this.context).map((one) => one.name);
    const next = behind.find((one) => order.indexOf(one.row.name) > order.indexOf(row.name));
    box.insertBefore(this.controls.get(row.name).element, next?.element ?? null);
  }

  update(video) {
    const wasReady = this.video.state === "ready";
    const done = video.jobs.filter((job) => job.state === "done").length;
    const knewSize = this.video.width;
    this.video = video;
    this.startButton.disabled = video.state !== "ready";
    if (knewSize !== video.width) {
      this.arrange();
    }
    write(this.startButton.lastChild, video.jobs.length ? T.panel.again : T.panel.start);
    if (video.state === "ready" && (!wasReady || this.asked === undefined || done !== this.done)) {
      // Each job that is done makes the estimate better.
      this.done = done;
      this.ask();
    } else if (video.state !== "ready") {
      write(this.estimate, video.state === "failed" ? "" : T.panel.notYet);
    }
  }

  /** Ask for the estimate and the code, once typing has calmed down. */
  ask() {
    clearTimeout(this.asked);
    this.asked = setTimeout(() => this.askNow(), CALM_MS);
  }

  async askNow() {
    if (this.video.state !== "ready" || !this.checkTypes()) {
      return;
    }
    this.question?.abort();
    this.question = new AbortController();
    const { signal } = this.question;
    try {
      const request = await this.request();
      const said = await call("POST", `videos/${this.video.id}/estimate`, { json: request, signal });
      this.fail(null);
      write(this.estimate, estimateText(said));
      const { look: _, ...described } = request;
      this.code.show(await call("POST", `videos/${this.video.id}/describe`, { json: described, signal }));
    } catch (error) {
      if (error instanceof ApiError) {
        write(this.estimate, "");
        this.fail(error);
      }
    }
  }

  async request() {
    const context = this.context;
    const takes = context.facts.some((facts) => facts.takes_background);
    if (takes && this.choices.values.background === "viewer") {
      context.background = await this.background();
    }
    return {
      fields: jobFields(this.choices.values, context),
      output_types: this.choices.types,
      look: await lookKind,
    };
  }

  background() {
    const { kind, colour, file } = backdrop;
    if (kind === "file") {
      return backgroundOf(this.video.id, file);
    }
    return kind === "colour" ? colour : null;
  }

  checkTypes() {
    const isMissing = this.choices.types.length === 0;
    write(this.outputsError, isMissing ? T.panel.oneOutput : "");
    this.outputsError.hidden = !isMissing;
    return !isMissing;
  }

  async start() {
    if (!this.checkTypes()) {
      return;
    }
    this.startButton.disabled = true;
    try {
      const job = await call("POST", `videos/${this.video.id}/jobs`, { json: await this.request() });
      this.fail(null);
      announce(T.panel.started);
      this.started(job);
    } catch (error) {
      this.fail(error);
    } finally {
      this.startButton.disabled = this.video.state !== "ready";
    }
  }

  /** Show an error beside the option it is about, else above the button; null takes it away. */
  fail(error) {
    this.controls.forEach((control) => control.fail(null));
    const row = error && rowOfError(error.message);
    const control = row && this.controls.get(row.name);
    if (control && !control.element.hidden) {
      control.element.closest("details")?.setAttribute("open", "");
      control.fail(error.message);
    }
    const sentence = error && !control ? error.message : "";
    write(this.error, sentence);
    this.error.hidden = !sentence;
  }
}

function estimateText({ seconds, bytes: size }) {
  const texts = T.panel.estimate;
  if (seconds === null && size === null) {
    return texts.none;
  }
  if (seconds === null) {
    return texts.size(bytes(size));
  }
  return size === null ? texts.time(duration(seconds)) : texts.known(duration(seconds), bytes(size));
}
