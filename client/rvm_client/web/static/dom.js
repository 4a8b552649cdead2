// Elements in one call, and the icons.

const PROPERTIES = new Set([
  "checked", "disabled", "hidden", "htmlFor", "textContent", "value", "muted", "loop",
  "playsInline", "multiple", "files", "open", "autoplay",
]);
const SVG = "http://www.w3.org/2000/svg";

const ICONS = {
  play: "M7 4.5v15l12-7.5z",
  pause: "M7 4.5h4v15H7zM14 4.5h4v15h-4z",
  back: "M18 5v14l-9-7zM6 5h2v14H6z",
  next: "M6 5v14l9-7zM16 5h2v14h-2z",
  plus: "M11 5h2v6h6v2h-6v6h-2v-6H5v-2h6z",
  minus: "M5 11h14v2H5z",
  close: "M6.400 5 12 10.600 17.600 5 19 6.400 13.400 12l5.600 5.600-1.400 1.400L12 13.400 6.400 19 5 17.600 10.600 12 5 6.400z",
  download: "M11 4h2v8.200l3-3 1.400 1.400L12 16l-5.400-5.400L8 9.200l3 3zM5 18h14v2H5z",
  upload: "M11 16h2V7.800l3 3 1.400-1.400L12 4 6.600 9.400 8 10.800l3-3zM5 18h14v2H5z",
  bin: "M9 4h6l1 1.5h4v2H4v-2h4zM6 9h12l-1 11H7z",
  camera: "M4 7h11a1 1 0 0 1 1 1v2.5l4-2.5v8l-4-2.5V16a1 1 0 0 1-1 1H4a1 1 0 0 1-1-1V8a1 1 0 0 1 1-1z",
  picture: "M4 5h16v14H4zm2 2v8l4-4 3 3 2-2 3 3V7zm9.5 1.5a1.5 1.5 0 1 1 0 3 1.5 1.5 0 0 1 0-3z",
  theme: "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18zm0 2v14a7 7 0 0 1 0-14z",
  sound: "M4 9h4l5-4v14l-5-4H4zm11.5-1.5a6 6 0 0 1 0 9zm0-3.5a9.5 9.5 0 0 1 0 16v-2a7.5 7.5 0 0 0 0-12z",
  silent: "M4 9h4l5-4v14l-5-4H4zm11.400.100L17.300 11l1.900-1.900 1.300 1.300L18.600 12.300l1.900 1.900-1.300 1.300-1.900-1.900-1.900 1.900-1.300-1.300 1.900-1.900-1.900-1.900z",
  copy: "M8 4h11v13H8zm2 2v9h7V6zM5 8h1v11h9v1.5H4.5V8z",
};

/** An element with its properties, attributes, listeners (`on`) and children. */
export function el(tag, props = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    set(element, name, value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

function set(element, name, value) {
  if (name === "on") {
    Object.entries(value).forEach(([event, listener]) => element.addEventListener(event, listener));
  } else if (PROPERTIES.has(name)) {
    element[name] = value;
  } else if (value !== null && value !== undefined && value !== false) {
    element.setAttribute(name, value === true ? "" : value);
  }
}

/** A picture that says nothing to a screen reader. */
export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", ICONS[name]);
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  svg.classList.add("icon");
  svg.append(path);
  return svg;
}

/** A button with an icon, a text or both; with an icon alone, the text is its name. */
export function button(text, listener, { iconName, quiet = false, onlyIcon = false, kind = "" } = {}) {
  const classes = ["button", kind, quiet ? "quiet" : "", onlyIcon ? "only-icon" : ""];
  const label = onlyIcon ? { "aria-label": text, title: text } : {};
  return el(
    "button",
    { type: "button", class: classes.filter(Boolean).join(" "), on: { click: listener }, ...label },
    iconName ? icon(iconName) : null,
    onlyIcon ? null : el("span", { textContent: text }),
  );
}

/** Write a text only where it changed, so that screen readers and selections stay calm. */
export function write(element, text) {
  if (element.textContent !== text) {
    element.textContent = text;
  }
}

let ids = 0;

/** An id that nothing else has. */
export function freshId(stem) {
  ids += 1;
  return `${stem}-${ids}`;
}

/** Radio buttons as one segmented control; `items` are {value, label, title}. */
export function segments(legend, items, value, change) {
  const name = freshId("segment");
  const inputs = items.map((item) =>
    el("input", {
      type: "radio", name, value: item.value, checked: item.value === value,
      on: { change: () => change(item.value) },
    }));
  const element = el(
    "fieldset",
    { class: "segments" },
    el("legend", { class: "unseen", textContent: legend }),
    items.map((item, index) =>
      el("label", { title: item.title }, inputs[index], el("span", { textContent: item.label }))),
  );
  return {
    element,
    choose: (chosen) => inputs.forEach((input) => { input.checked = input.value === chosen; }),
    disable: (values) => inputs.forEach((input) => { input.disabled = values.includes(input.value); }),
  };
}

const polite = el("div", { class: "unseen", role: "status", "aria-live": "polite" });
document.body.append(polite);

/** Say something once to a screen reader. */
export function announce(sentence) {
  polite.textContent = "";
  setTimeout(() => { polite.textContent = sentence; }, 50);
}
