// The jobs of a video: how far each is, and its files.

import { call } from "./api.js";
import { announce, button, el, icon, write } from "./dom.js";
import { bytes, duration, rate, timeOfDay } from "./format.js";
import { outputTexts } from "./choices.js";
import { T } from "./texts.js";

const UNDER_WAY = ["queued", "working"];

export class Results {
  /** `look(job)` shows one in the stage. */
  constructor(look) {
    this.look = look;
    this.cards = new Map();
    this.states = new Map();
    this.list = el("ol", { class: "jobs", reversed: true });
    this.none = el("p", { class: "none", textContent: T.results.none });
    this.expires = el("p", { class: "expires" });
    this.element = el("section", { class: "results", "aria-labelledby": "results-heading" },
      el("h2", { id: "results-heading", textContent: T.results.heading }), this.none, this.list, this.expires);
  }

  /** `shownKey` is the id of the job in the stage. */
  update(video, shownKey) {
    this.none.hidden = video.jobs.length > 0;
    write(this.expires, video.expires_at ? T.results.expires(timeOfDay(video.expires_at)) : "");
    for (const [id, card] of this.cards) {
      if (!video.jobs.some((job) => job.id === id)) {
        card.element.remove();
        this.cards.delete(id);
      }
    }
    video.jobs.forEach((job, index) => {
      if (!this.cards.has(job.id)) {
        const card = new JobCard(job, index + 1, this.look);
        this.cards.set(job.id, card);
        this.list.prepend(card.element);
      }
      this.cards.get(job.id).update(job, job.id === shownKey);
      this.say(job, index + 1);
    });
  }

  /** Tell a screen reader how one ended, if it was seen under way. */
  say(job, index) {
    const before = this.states.get(job.id);
    this.states.set(job.id, job.state);
    if (UNDER_WAY.includes(before) && job.state === "done") {
      announce(T.results.finished(index));
    } else if (UNDER_WAY.includes(before) && job.state === "failed") {
      announce(T.results.failedAloud(index, job.error));
    }
  }
}

class JobCard {
  constructor(job, index, look) {
    this.job = job;
    this.bar = el("progress", { max: 1, "aria-label": T.results.progress(index) });
    this.state = el("span", { class: "job-state" });
    this.said = el("p", { class: "job-said" });
    this.error = el("p", { class: "error", hidden: true });
    this.files = el("ul", { class: "files" });
    this.warnings = el("ul", { class: "warnings" });
    this.look = button(T.results.look, () => look(this.job), { quiet: true });
    this.end = button(T.results.cancel, () => this.remove(), { quiet: true });
    this.made = "";
    const kinds = job.output_types.map((name) => outputTexts(name).label).join(", ");
    this.element = el("li", { class: "job" },
      el("div", { class: "job-top" },
        el("div", {}, el("h3", {}, `${T.results.title(index)} `, this.state), el("p", { class: "sentence", textContent: kinds })),
        el("div", { class: "row" }, this.look, this.end)),
      this.bar, this.said, this.error, this.files, this.warnings);
  }

  async remove() {
    try {
      await call("DELETE", `jobs/${this.job.id}`);
    } catch (error) {
      this.fail(error.message);
    }
  }

  fail(sentence) {
    write(this.error, sentence ?? "");
    this.error.hidden = !sentence;
  }

  update(job, isShown) {
    this.job = job;
    const isUnderWay = UNDER_WAY.includes(job.state);
    this.element.dataset.state = job.state;
    write(this.state, T.results.state[job.state] ?? job.state);
    this.bar.hidden = !isUnderWay;
    if (job.state === "working" && job.frames_expected) {
      this.bar.value = Math.min(1, job.frames_done / job.frames_expected);
    } else {
      this.bar.removeAttribute("value");
    }
    write(this.said, isUnderWay ? progressOf(job) : "");
    this.said.hidden = !isUnderWay;
    this.fail(job.error);
    write(this.end.lastChild, isUnderWay ? T.results.cancel : T.results.remove);
    this.look.hidden = job.look?.state !== "done";
    this.look.disabled = isShown;
    write(this.look.lastChild, isShown ? T.results.shown : T.results.look);
    this.fill(job);
  }

  fill(job) {
    const made = JSON.stringify([job.files, job.warnings]);
    if (made !== this.made) {
      this.made = made;
      this.files.replaceChildren(...job.files.map(fileOf));
      this.warnings.replaceChildren(...job.warnings.map((text) => el("li", { textContent: text })));
    }
  }
}

/** What the machine is doing for a job, as honestly as it is known. */
function progressOf(job) {
  if (job.state === "queued") {
    return job.place > 0 ? T.results.place(job.place) : T.results.queued;
  }
  const parts = [T.results.doing[job.doing] ?? job.doing];
  if (job.frames_done) {
    parts.push(T.results.frames(job.frames_done, job.frames_expected));
  }
  if (job.fps) {
    parts.push(T.results.fps(rate(job.fps)));
  }
  if (job.seconds_left !== null && job.seconds_left !== undefined) {
    parts.push(T.results.left(duration(job.seconds_left)));
  }
  return parts.filter(Boolean).join(" · ");
}

function fileOf(file) {
  const texts = outputTexts(file.output_type);
  const role = T.results.roles[file.role];
  const label = role ? `${texts.label}: ${role}` : texts.label;
  const size = file.width ? `${file.width}×${file.height} · ` : "";
  const link = el("a", {
    class: "button", href: `${file.url}${file.url.includes("?") ? "&" : "?"}download=1`,
    download: file.name, "aria-label": T.results.downloadFile(file.name),
  }, icon("download"), el("span", { textContent: T.results.download }));
  return el("li", { class: "file" },
    el("div", {},
      el("p", { class: "file-label" }, label, el("span", { class: "file-size", textContent: `${size}${bytes(file.bytes)}` })),
      el("p", { class: "sentence", textContent: texts.plays })),
    link);
}
