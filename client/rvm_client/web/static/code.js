// The job as JSON and as a command line, to copy.

import { button, el, segments, write } from "./dom.js";
import { T } from "./texts.js";

const COPIED_MS = 1500;

export class CodeBox {
  constructor() {
    this.texts = { json: "", command: "" };
    this.form = "command";
    this.code = el("pre", { tabindex: 0, role: "region", "aria-label": T.panel.code });
    this.copy = button(T.panel.copy, () => this.take(), { iconName: "copy", quiet: true });
    const items = [
      { value: "command", label: T.panel.command },
      { value: "json", label: T.panel.json },
    ];
    this.forms = segments(T.panel.code, items, this.form, (form) => { this.form = form; this.write(); });
    this.element = el("details", { class: "code" }, el("summary", { textContent: T.panel.code }),
      el("div", { class: "line" }, this.forms.element, this.copy), this.code);
    this.element.hidden = true;
  }

  show({ jobs, commands }) {
    const content = jobs.length === 1 ? jobs[0] : jobs;
    this.texts = { json: JSON.stringify(content, null, 2), command: commands.join("\n") };
    this.element.hidden = false;
    this.write();
  }

  write() {
    write(this.code, this.texts[this.form]);
  }

  async take() {
    try {
      await navigator.clipboard.writeText(this.texts[this.form]);
    } catch {
      // Not allowed, or no https: what is selected can be copied by hand.
      getSelection().selectAllChildren(this.code);
      return;
    }
    const text = this.copy.lastChild;
    write(text, T.panel.copied);
    setTimeout(() => write(text, T.panel.copy), COPIED_MS);
  }
}
