// The top of the page: what it is, how the machine is, and two switches.

import { button, el, write } from "./dom.js";
import { store } from "./store.js";
import { T } from "./texts.js";

const KEY = "theme";
const root = document.documentElement;

/** Dark or light as the system has it, until a person chose. */
export function restoreTheme() {
  const chosen = localStorage.getItem(KEY);
  if (chosen) {
    root.dataset.theme = chosen;
  }
}

function toggleTheme() {
  const dark = root.dataset.theme
    ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
  localStorage.setItem(KEY, root.dataset.theme);
}

export class Header {
  /** `forget()` deletes everything. */
  constructor(forget) {
    this.machine = el("p", { class: "machine", role: "status" });
    this.lost = el("p", { class: "lost", role: "alert", hidden: true, textContent: T.header.reconnecting });
    this.forget = button(T.header.forget, forget, { iconName: "bin", quiet: true });
    this.element = el("header", { class: "top" },
      el("a", { class: "skip", href: "#main", textContent: T.skip, on: { click: toMain } }),
      el("p", { class: "brand" }, el("img", { src: "static/icon.svg", alt: "", width: 28, height: 28 }),
        el("span", { textContent: T.product })),
      this.machine, this.forget,
      button(T.header.theme, toggleTheme, { iconName: "theme", quiet: true, onlyIcon: true }),
      this.lost);
  }

  update() {
    const { machine } = store;
    this.machine.hidden = !machine;
    this.forget.hidden = store.videos.size === 0;
    this.lost.hidden = store.connected;
    if (machine) {
      this.machine.dataset.state = machine.state;
      const queued = machine.queued ? T.header.queued(machine.queued) : "";
      write(this.machine, [machine.sentence, queued].filter(Boolean).join(" · "));
    }
  }
}

function toMain(event) {
  event.preventDefault();
  document.getElementById("main").focus();
}
