/** What the API returns only once, such as a token: it can be selected and copied, until its dialog is closed. */

import { fill, h } from "../dom.js";
import { t } from "../text.js";
import { field, openDialog } from "./form.js";

/**
 * A field with a secret, and a button that copies it where the browser allows that.
 * @param {string} label
 * @param {string} value
 * @param {{rows?: number, hint?: string}} [options]
 */
export function secretField(label, value, { rows, hint } = {}) {
  /** @param {any} event */
  const select = (event) => event.target.select();
  const said = h("span", { class: "quiet", role: "status" });
  const copy = async () => {
    await navigator.clipboard.writeText(value);
    fill(said, t("copied"));
  };
  return [
    field("secret", label, {
      kind: rows ? "textarea" : "text", rows, hint, value, readonly: true, class: "secret", onfocus: select,
    }),
    navigator.clipboard && h(
      "p", { class: "actions" }, h("button", { type: "button", onclick: copy }, t("copy")), said,
    ),
  ];
}

/**
 * Show it in a dialog, and call `done` when that is closed.
 * @param {string} title
 * @param {Child} content
 * @param {Done} [done]
 */
export function showOnce(title, content, done = () => {}) {
  const dialog = openDialog(title, (_close, cancel) => {
    cancel.textContent = t("close");
    return [content, h("p", { class: "actions" }, cancel)];
  });
  dialog.addEventListener("close", done);
}
