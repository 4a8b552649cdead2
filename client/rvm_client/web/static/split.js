// The slider between before and after.

import { el } from "./dom.js";
import { percent } from "./format.js";
import { T } from "./texts.js";

export class Split {
  /** `before` is cut where the slider stands; `inside` says where that is in the picture. */
  constructor(frame, before) {
    this.frame = frame;
    this.before = before;
    this.inside = (fraction) => fraction;
    this.input = el("input", {
      type: "range", min: 0, max: 100, step: 1, value: 50, "aria-label": T.stage.split,
      on: { input: () => this.apply() },
    });
    this.element = el("div", { class: "split" }, this.input, el("span", { class: "handle", "aria-hidden": "true" }));
  }

  get fraction() {
    return Number(this.input.value) / 100;
  }

  /** Put it under a pointer. */
  follow(event) {
    const { left, width } = this.frame.getBoundingClientRect();
    this.input.value = String(((event.clientX - left) / width) * 100);
    this.apply();
  }

  apply() {
    const cut = Math.min(1, Math.max(0, this.inside(this.fraction)));
    this.frame.style.setProperty("--split", `${this.fraction * 100}%`);
    this.before.style.clipPath = `inset(0 ${(1 - cut) * 100}% 0 0)`;
    this.input.setAttribute("aria-valuetext", T.stage.splitValue(percent(this.fraction)));
  }
}
