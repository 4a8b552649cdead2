// A closer look: the picture larger inside its frame, and moved by dragging.

import { button, el, write } from "./dom.js";
import { T } from "./texts.js";

const LARGEST = 8;

export class Zoom {
  /** `inner` is scaled inside `frame`; `moved` is called after each change. */
  constructor(frame, inner, moved) {
    this.frame = frame;
    this.inner = inner;
    this.moved = moved;
    this.scale = 1;
    this.left = this.top = 0;
    this.said = el("output", { class: "zoom-factor" });
    this.element = el("div", { class: "zoom" },
      button(T.stage.zoomOut, () => this.by(0.5), { iconName: "minus", quiet: true, onlyIcon: true }),
      this.said,
      button(T.stage.zoomIn, () => this.by(2), { iconName: "plus", quiet: true, onlyIcon: true }));
    frame.addEventListener("dblclick", (event) => this.toggle(event));
    frame.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    this.apply();
  }

  /** Where a point of the frame lies in the picture; both as a fraction of the width. */
  inside(fraction) {
    return (fraction - this.left) / this.scale;
  }

  /** Where an event lies in the picture, as fractions of its width and height. */
  pictured(event) {
    const [x, y] = this.point(event);
    return [this.inside(x), (y - this.top) / this.scale];
  }

  /** Zoom by a factor, about a point given as fractions of the frame. */
  by(factor, x = 0.5, y = 0.5) {
    const scale = Math.min(LARGEST, Math.max(1, this.scale * factor));
    const grown = scale / this.scale;
    this.left = x - (x - this.left) * grown;
    this.top = y - (y - this.top) * grown;
    this.scale = scale;
    this.apply();
  }

  reset() {
    this.scale = 1;
    this.apply();
  }

  /** Move by pixels of the page. */
  move(dx, dy) {
    const { width, height } = this.frame.getBoundingClientRect();
    this.left += dx / width;
    this.top += dy / height;
    this.apply();
  }

  toggle(event) {
    const [x, y] = this.point(event);
    this.scale > 1 ? this.reset() : this.by(4, x, y);
  }

  /** A pinch on a touchpad comes as a wheel with ctrl; a plain wheel scrolls the page. */
  wheel(event) {
    if (event.ctrlKey) {
      event.preventDefault();
      this.by(Math.exp(-event.deltaY / 100), ...this.point(event));
    }
  }

  point(event) {
    const { left, top, width, height } = this.frame.getBoundingClientRect();
    return [(event.clientX - left) / width, (event.clientY - top) / height];
  }

  apply() {
    const clamp = (value) => Math.min(0, Math.max(1 - this.scale, value));
    this.left = clamp(this.left);
    this.top = clamp(this.top);
    this.inner.style.transform =
      `translate(${this.left * 100}%, ${this.top * 100}%) scale(${this.scale})`;
    this.frame.classList.toggle("zoomed", this.scale > 1);
    this.frame.classList.toggle("pixels", this.scale >= 4);
    write(this.said, T.stage.zoom(Math.round(this.scale * 10) / 10));
    this.moved();
  }
}
