// What stands behind the person: chosen once, seen under every video, and taken by jobs that ask.

import { el, freshId, icon, write } from "./dom.js";
import { T } from "./texts.js";

export const GREEN = "#78ff9b";

const SWATCHES = [
  { name: "checker", kind: "checker" },
  { name: "green", kind: "colour", colour: GREEN },
  { name: "white", kind: "colour", colour: "#ffffff" },
  { name: "black", kind: "colour", colour: "#000000" },
];

export const backdrop = { kind: "checker", colour: "#4a6fa5", file: null, url: null, isVideo: false };

const listeners = new Set();

/** Call `listener(backdrop)` after each change. Returns what ends that. */
export function onBackdrop(listener) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

function choose(part) {
  Object.assign(backdrop, part);
  listeners.forEach((listener) => listener(backdrop));
}

async function chooseFile(file) {
  const url = URL.createObjectURL(file);
  const isVideo = file.type.startsWith("video/");
  if (!(await canShow(url, isVideo))) {
    URL.revokeObjectURL(url);
    return T.backdrop.bad;
  }
  if (backdrop.url) {
    URL.revokeObjectURL(backdrop.url);
  }
  choose({ kind: "file", file, url, isVideo });
  return "";
}

function canShow(url, isVideo) {
  const probe = document.createElement(isVideo ? "video" : "img");
  return new Promise((resolve) => {
    probe.addEventListener(isVideo ? "loadeddata" : "load", () => resolve(true), { once: true });
    probe.addEventListener("error", () => resolve(false), { once: true });
    probe.src = url;
  });
}

/** The row of swatches. */
export function backdropPicker() {
  const name = freshId("backdrop");
  const error = el("p", { class: "error", role: "alert", hidden: true });
  const fail = (sentence) => { write(error, sentence); error.hidden = !sentence; };
  const take = (part) => { fail(""); choose(part); };
  const swatches = SWATCHES.map((swatch) => swatchOf(name, swatch, take));
  const picker = el("fieldset", { class: "swatches" },
    el("legend", { class: "unseen", textContent: T.backdrop.legend }),
    swatches, colourSwatch(take), fileSwatch(fail));
  return el("div", { class: "backdrop-picker" }, picker, error);
}

function swatchOf(name, { name: text, kind, colour }, take) {
  const input = el("input", {
    type: "radio", name, value: text, checked: kind === backdrop.kind && kind === "checker",
    "aria-label": T.backdrop[text],
    on: { change: () => take({ kind, colour: colour ?? backdrop.colour }) },
  });
  onBackdrop(() => {
    input.checked = backdrop.kind === kind && (kind !== "colour" || backdrop.colour === colour);
  });
  const patch = el("span", { class: `patch ${kind}` });
  if (colour) {
    patch.style.setProperty("--patch", colour);
  }
  return el("label", { class: "swatch", title: T.backdrop[text] }, input, patch);
}

function colourSwatch(take) {
  const input = el("input", {
    type: "color", value: backdrop.colour, "aria-label": T.backdrop.colour,
    on: { input: () => take({ kind: "colour", colour: input.value }) },
  });
  const label = el("label", { class: "swatch own-colour", title: T.backdrop.colour }, input);
  const follow = () => {
    const isOwn = backdrop.kind === "colour" && !SWATCHES.some((row) => row.colour === backdrop.colour);
    label.classList.toggle("chosen", isOwn);
  };
  onBackdrop(follow);
  return label;
}

function fileSwatch(fail) {
  const input = el("input", {
    type: "file", accept: "image/*,video/*", class: "unseen", "aria-label": T.backdrop.file,
    on: {
      change: async () => {
        if (input.files.length) {
          fail(await chooseFile(input.files[0]));
          input.value = "";
        }
      },
    },
  });
  const label = el("label", { class: "swatch own-file", title: T.backdrop.file }, input,
    icon("picture"), el("span", { textContent: T.backdrop.file }));
  onBackdrop(() => label.classList.toggle("chosen", backdrop.kind === "file"));
  return label;
}

/** The element that lies under the person. */
export function backdropLayer() {
  const layer = el("div", { class: "backdrop", "aria-hidden": "true" });
  const show = () => {
    layer.replaceChildren();
    layer.style.backgroundColor = backdrop.kind === "colour" ? backdrop.colour : "";
    if (backdrop.kind === "file") {
      layer.append(el(backdrop.isVideo ? "video" : "img", {
        src: backdrop.url, ...(backdrop.isVideo
          ? { muted: true, loop: true, playsInline: true, autoplay: true } : { alt: "" }),
      }));
    }
  };
  onBackdrop(show);
  show();
  return layer;
}
