/** Forms: labelled fields, one submission at a time, and the errors of the server. */

import { Problem } from "../api.js";
import { fill, h, newId } from "../dom.js";
import { t } from "../text.js";
import { errorLine } from "./panels.js";

/**
 * A field with its label. `kind` is the type of an input, or "select" or "textarea".
 * @param {string} name
 * @param {string} label
 * @param {{kind?: string, hint?: string, options?: (string | number)[][], [property: string]: any}} [properties] of the
 *   input; `hint` is a text below it, `options` are pairs of a select
 */
export function field(name, label, { kind = "text", hint, options = [], ...properties } = {}) {
  const id = newId(name);
  const own = { id, name, "aria-describedby": hint && `${id}-hint`, ...properties };
  const tag = kind === "select" || kind === "textarea" ? kind : "input";
  const choices = options.map(([value, text]) => h("option", { value }, text));
  return h(
    "div", { class: "field" }, h("label", { for: id }, label),
    h(tag, tag === "input" ? { type: kind, ...own } : own, choices),
    hint && h("p", { class: "hint", id: `${id}-hint` }, hint),
  );
}

/**
 * A form that calls `submit` with its values, and shows the error that this throws.
 * @param {Child} content
 * @param {{label: string, submit: (values: any) => unknown, others?: Child, kind?: string}} options
 */
export function form(content, { label, submit, others = [], kind = "primary" }) {
  const problem = h("div", { class: "problem" });
  const button = h("button", { type: "submit", class: kind }, label);
  /** @param {SubmitEvent} event */
  const onsubmit = async (event) => {
    event.preventDefault();
    if (button.disabled) return;
    fill(problem);
    setBusy(button, true);
    try {
      await submit(Object.fromEntries(new FormData(element)));
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      fill(problem, errorLine(error));
    } finally {
      setBusy(button, false);
    }
  };
  const element = h("form", { onsubmit }, content, problem, h("p", { class: "actions" }, button, others));
  return element;
}

/**
 * Disable a button while its request runs. The focus stays, so it isn't disabled for good.
 * @param {HTMLButtonElement} button
 * @param {boolean} isBusy
 */
export function setBusy(button, isBusy) {
  button.disabled = isBusy;
  button.toggleAttribute("data-busy", isBusy);
  if (!isBusy && document.activeElement === document.body) button.focus();
}

/**
 * A dialog with a form. It closes when `submit` has succeeded, and `done` gets its result. An error is shown in it.
 * @param {string} title
 * @param {Child} content
 * @param {{label: string, submit: (values: any) => unknown, done: (result: any) => unknown, kind?: string}} options
 */
export function formDialog(title, content, { label, submit, done, kind }) {
  openDialog(title, (close, cancel) => form(content, {
    label, kind, others: [cancel],
    submit: async (values) => {
      const result = await submit(values);
      close();
      await done(result);
    },
  }));
}

/**
 * A button of an item in a list. `about` says to a screen reader to which item it belongs.
 * @param {string} label
 * @param {string} about
 * @param {Done} onclick
 */
export function itemButton(label, about, onclick) {
  return h("button", { type: "button", class: "link", onclick, "aria-label": `${label}: ${about}` }, label);
}

/**
 * Show a dialog, and return its element. Escape and "Cancel" close it; the focus then returns to where it was.
 * @param {string} title
 * @param {(close: Done, cancel: HTMLElement) => Child} content gets a function that closes it, and a button that does too
 */
export function openDialog(title, content) {
  const id = newId("dialog");
  const opener = /** @type {HTMLElement} */ (document.activeElement);
  const dialog = h("dialog", { "aria-labelledby": id });
  const close = () => dialog.close();
  const cancel = h("button", { type: "button", onclick: close }, t("cancel"));
  fill(dialog, h("h2", { id }, title), content(close, cancel));
  dialog.addEventListener("close", () => {
    dialog.remove();
    if (opener?.isConnected) opener.focus();
  });
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}
