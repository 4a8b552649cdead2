// What is asked before something is gone for good.

import { button, el } from "./dom.js";
import { T } from "./texts.js";

/** Ask; true where the answer is yes. Escape is no. */
export function confirmed(heading, text) {
  return new Promise((resolve) => {
    const answer = (yes) => { dialog.close(); dialog.remove(); resolve(yes); };
    const keep = button(T.remove.no, () => answer(false));
    const dialog = el("dialog", { class: "dialog", "aria-labelledby": "confirm-heading", on: { cancel: () => answer(false) } },
      el("h2", { id: "confirm-heading", textContent: heading }), el("p", { textContent: text }),
      el("div", { class: "row end" }, keep, button(T.remove.yes, () => answer(true), { kind: "danger" })));
    document.body.append(dialog);
    dialog.showModal();
    keep.focus();
  });
}
