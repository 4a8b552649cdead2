// The password, where the server asks for one.

import { call } from "./api.js";
import { el, write } from "./dom.js";
import { T } from "./texts.js";

/** Put the form in place of the page until the password is right; then call `entered`. */
export function askPassword(entered) {
  const input = el("input", {
    id: "password", type: "password", autocomplete: "current-password", "aria-describedby": "login-error",
  });
  const error = el("p", { class: "error", id: "login-error", role: "alert", hidden: true });
  const enter = async (event) => {
    event.preventDefault();
    try {
      await call("POST", "login", { json: { password: input.value } });
      page.remove();
      entered();
    } catch (failure) {
      write(error, failure.message);
      error.hidden = false;
      input.select();
    }
  };
  const page = el("main", { class: "login", id: "main", tabindex: -1 },
    el("form", { class: "dialog", on: { submit: enter } },
      el("h1", { textContent: T.login.heading }),
      el("label", { htmlFor: "password", textContent: T.login.label }), input, error,
      el("button", { class: "button primary", type: "submit" }, T.login.enter)));
  document.body.append(page);
  input.focus();
}
