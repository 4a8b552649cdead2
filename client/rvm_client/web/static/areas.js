// Boxes in the picture: where nothing is kept, or the one in which somebody is. Drawn in the stage,
// or set as numbers; each is {only, box: [left, top, right, bottom]}, fractions of the picture.

import { button, el } from "./dom.js";

const FIRST_BOX = [0.25, 0.25, 0.75, 0.75];
const EDGES = ["left", "top", "right", "bottom"];

/** The control of such a list; the one that has the focus is drawn by the next drag in the stage. */
export function areas(_row, value, change, ctx, id, texts) {
  const now = value.map((area) => ({ ...area }));
  const list = el("div", { class: "area-list" });

  const changed = () => {
    ctx.stage.showAreas(now);
    addOnly.disabled = now.some((area) => area.only);
    change(now.map((area) => ({ ...area })));
  };
  const add = (only) => {
    now.push({ only, box: [...FIRST_BOX] });
    show();
    changed();
    list.lastElementChild.focus({ preventScroll: true });
    ctx.stage.frame.scrollIntoView({ block: "nearest" });
  };
  const draw = (area, inputs) => ctx.stage.draw((box) => {
    area.box = box;
    inputs.forEach((input, index) => { input.value = inPercent(box[index]); });
    changed();
  });
  const remove = (area) => {
    now.splice(now.indexOf(area), 1);
    ctx.stage.draw(null);
    show();
    changed();
    addCut.focus();
  };

  const entry = (area, index) => {
    const inputs = EDGES.map((edge, at) => {
      const input = el("input", {
        id: `${id}-${index}-${edge}`, type: "number", min: 0, max: 100, step: "any", value: inPercent(area.box[at]),
        on: { input: () => { area.box[at] = Number(input.value) / 100; changed(); } },
      });
      return input;
    });
    const fields = inputs.map((input, at) =>
      el("div", { class: "edge" }, el("label", { htmlFor: input.id, textContent: texts[EDGES[at]] }), input));
    const name = area.only ? texts.only : texts.cut;
    // A press on the picture takes the focus away when the drag has begun.
    const on = { focusin: () => draw(area, inputs), focusout: () => ctx.stage.draw(null) };
    return el("fieldset", { class: "area", tabindex: -1, on },
      el("legend", { textContent: name }),
      el("div", { class: "area-edges" }, fields,
        button(texts.remove, () => remove(area), { iconName: "bin", quiet: true, onlyIcon: true })));
  };
  const show = () => list.replaceChildren(...now.map(entry));

  const addCut = button(texts.addCut, () => add(false), { iconName: "plus", quiet: true });
  const addOnly = button(texts.addOnly, () => add(true), { iconName: "plus", quiet: true });
  addOnly.disabled = now.some((area) => area.only);
  show();
  ctx.stage.showAreas(now);
  return {
    element: el("fieldset", {}, el("legend", { class: "label", textContent: texts.label }),
      list, el("div", { class: "area-buttons" }, addCut, addOnly)),
  };
}

/** The job's fields of such a list, beside who is kept in all. */
export function areaFields(value, keep) {
  const cut = value.filter((area) => !area.only).map((area) => area.box);
  const only = value.find((area) => area.only);
  return { exclude: cut.length ? cut : null, subject: only ? { keep, box: only.box } : null };
}

/** What lies over the picture and shows them. */
export class AreaLayer {
  constructor() {
    this.element = el("div", { class: "area-layer", "aria-hidden": "true" });
  }

  show(list) {
    this.element.replaceChildren(...list.map(({ only, box: [left, top, right, bottom] }) => {
      const element = el("div", { class: only ? "area-box only" : "area-box" });
      const inset = [top, 1 - right, 1 - bottom, left];
      element.style.inset = inset.map((part) => `${100 * part}%`).join(" ");
      return element;
    }));
  }
}

/** The box between two points [x, y], within the picture. */
export function boxBetween([x, y], [otherX, otherY]) {
  const within = (part) => Math.round(1000 * Math.min(1, Math.max(0, part))) / 1000;
  return [Math.min(x, otherX), Math.min(y, otherY), Math.max(x, otherX), Math.max(y, otherY)].map(within);
}

function inPercent(fraction) {
  return String(Math.round(1000 * fraction) / 10);
}
