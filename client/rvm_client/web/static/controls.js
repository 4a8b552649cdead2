// A control for each kind of option. Each is (row, value, change, ctx) -> {element, update}:
// `change` takes the new value, `update(ctx)` follows what the rest of the page does.

import { areas } from "./areas.js";
import { button, el, freshId, segments, write } from "./dom.js";
import { PRESETS } from "./choices.js";
import { T } from "./texts.js";

/** The control of a row with its label, its sentence and room for its error. */
export function controlOf(row, value, change, ctx) {
  const texts = T.options[row.name] ?? { label: row.name, sentence: "" };
  const id = freshId(row.name);
  const error = el("p", { class: "error", id: `${id}-error`, role: "alert", hidden: true });
  const control = KINDS[row.kind](row, value, change, ctx, id, texts);
  const element = el(
    "div",
    { class: `option ${row.kind}`, "data-option": row.name },
    control.element,
    texts.sentence ? el("p", { class: "sentence", id: `${id}-sentence`, textContent: texts.sentence }) : null,
    error,
  );
  const inputs = [...element.querySelectorAll("input, select")];
  inputs.forEach((input) => input.setAttribute("aria-describedby", `${id}-sentence ${id}-error`));
  return {
    element,
    update: control.update ?? (() => {}),
    fail: (sentence) => {
      write(error, sentence ?? "");
      error.hidden = !sentence;
      inputs.forEach((input) => input.setAttribute("aria-invalid", String(Boolean(sentence))));
    },
  };
}

const KINDS = { presets, toggle, choice, trim, rate, background, sliders, areas };

function presets(_row, value, change, _ctx, _id, texts) {
  const sentence = el("p", { class: "sentence", textContent: T.presets[value].sentence });
  const items = PRESETS.map((preset) => ({
    value: preset.value, label: T.presets[preset.value].label, title: T.presets[preset.value].sentence,
  }));
  const control = segments(texts.label, items, value, (chosen) => {
    write(sentence, T.presets[chosen].sentence);
    change(chosen);
  });
  return { element: el("div", {}, el("p", { class: "label", textContent: texts.label }), control.element, sentence) };
}

function toggle(_row, value, change, _ctx, id, texts) {
  const input = el("input", {
    id, type: "checkbox", role: "switch", checked: value, on: { change: () => change(input.checked) },
  });
  return { element: el("label", { class: "line", htmlFor: id }, el("span", { class: "label", textContent: texts.label }), input) };
}

function choice(row, value, change, ctx, id, texts) {
  const select = el("select", { id, on: { change: () => change(select.value) } });
  let shown = "";
  const update = (now) => {
    const items = row.items(now);
    if (shown !== JSON.stringify(items)) {
      shown = JSON.stringify(items);
      const kept = select.value || value;
      select.replaceChildren(...items.map((item) => el("option", { value: item.value, textContent: item.label })));
      select.value = items.some((item) => item.value === kept) ? kept : row.initial;
    }
  };
  update(ctx);
  return {
    element: el("div", { class: "line" }, el("label", { class: "label", htmlFor: id, textContent: texts.label }), select),
    update,
  };
}

function trim(_row, value, change, ctx, id, texts) {
  const now = { ...value };
  const edge = (name) => {
    const input = el("input", {
      id: `${id}-${name}`, type: "number", min: 0, step: "any", inputmode: "decimal", value: now[name],
      on: { input: () => { now[name] = input.value; change({ ...now }); } },
    });
    const here = button(texts.here, () => {
      input.value = now[name] = String(Math.round(ctx.stage.seconds * 1000) / 1000);
      change({ ...now });
    }, { quiet: true });
    here.title = texts.hereTitle[name];
    here.setAttribute("aria-label", `${texts.here}: ${texts.hereTitle[name]}`);
    return el("div", { class: "edge" },
      el("label", { htmlFor: input.id, textContent: texts[name] }), input, here);
  };
  return {
    element: el("fieldset", {}, el("legend", { class: "label", textContent: texts.label }),
      el("div", { class: "edges" }, edge("start"), edge("end"))),
  };
}

function rate(_row, value, change, ctx, id, texts) {
  const now = { ...value };
  const set = (part) => { Object.assign(now, part); show(); change({ ...now }); };
  const slider = el("input", {
    id: `${id}-crf`, type: "range", "aria-label": texts.crf, min: 10, max: 40, value: now.crf,
    on: { input: () => set({ crf: Number(slider.value) }) },
  });
  const said = el("output", { htmlFor: slider.id });
  const crf = el("div", { class: "line" }, slider, said);
  const megabits = el("input", {
    id: `${id}-bitrate`, type: "number", "aria-label": texts.bitrate, min: 0.1, max: 100, step: "any",
    value: now.megabits, on: { input: () => set({ megabits: megabits.value }) },
  });
  const bitrate = el("div", { class: "line" }, megabits, el("span", { textContent: texts.bitrateUnit }));
  const by = segments(texts.label, ["auto", "crf", "bitrate"].map((name) => ({ value: name, label: texts[name] })),
    now.by, (chosen) => set({ by: chosen }));
  const show = () => {
    crf.hidden = now.by !== "crf";
    bitrate.hidden = now.by !== "bitrate";
    write(said, texts.crfValue(now.crf));
  };
  const update = ({ facts }) => {
    const bounds = facts.map((one) => one.crf_bounds).filter(Boolean);
    if (bounds.length) {
      slider.min = Math.max(...bounds.map(([lowest]) => lowest));
      slider.max = Math.min(...bounds.map(([, highest]) => highest));
    }
  };
  update(ctx);
  show();
  return { element: el("div", {}, el("p", { class: "label", textContent: texts.label }), by.element, crf, bitrate), update };
}

/** One slider for each part of the value. */
function sliders(row, value, change, _ctx, id, texts) {
  const now = { ...value };
  const slider = ({ name, min, max, step }) => {
    const said = el("output", { htmlFor: `${id}-${name}` }, String(now[name]));
    const input = el("input", {
      id: `${id}-${name}`, type: "range", min, max, step, value: now[name],
      on: {
        input: () => {
          now[name] = Number(input.value);
          write(said, input.value);
          change({ ...now });
        },
      },
    });
    return el("div", { class: "slider" }, el("label", { htmlFor: input.id, textContent: texts[name] }), input, said);
  };
  return {
    element: el("fieldset", {}, el("legend", { class: "label", textContent: texts.label }), row.parts.map(slider)),
  };
}

function background(_row, value, change, _ctx, _id, texts) {
  const items = ["green", "viewer"].map((name) => ({ value: name, label: texts[name] }));
  const said = el("p", { class: "sentence" });
  let chosen = value;
  const control = segments(texts.label, items, value, (now) => { chosen = now; change(now); });
  const update = ({ backdrop, values }) => {
    if (values && values.background !== chosen) {
      chosen = values.background;
      control.choose(chosen);
    }
    write(said, chosen === "viewer" ? backdropText(backdrop, texts) : "");
  };
  return { element: el("div", {}, el("p", { class: "label", textContent: texts.label }), control.element, said), update };
}

function backdropText(backdrop, texts) {
  return { checker: texts.empty, colour: backdrop.colour, file: backdrop.file?.name ?? "" }[backdrop.kind];
}
