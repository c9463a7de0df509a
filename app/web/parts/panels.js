/** What every page shows now and then: a skeleton while it loads, an error, an empty list, the choice of language. */

import { Problem } from "../api.js";
import { h, newId } from "../dom.js";
import { LANGUAGES, language, problemText, setLanguage, t } from "../text.js";
import { icon } from "./icons.js";

export function skeleton() {
  return h(
    "div", { class: "skeleton" },
    h("p", { class: "unseen", role: "status" }, t("loading")),
    ["wide", "tall", "line", "line"].map((each) => h("div", { class: `bone ${each}`, "aria-hidden": "true" })),
  );
}

/**
 * An error with a button to try again. The request id is for a support request.
 * @param {unknown} error
 * @param {Done} [retry]
 */
export function errorPanel(error, retry) {
  const problem = error instanceof Problem ? error : new Problem({ code: "unknown" });
  return h(
    "div", { class: "panel error", role: "alert" },
    icon("alert"), h("p", {}, problemText(problem)),
    problem.request_id && h("p", { class: "quiet" }, t("request_id", { id: problem.request_id })),
    retry && h("p", {}, h("button", { type: "button", onclick: retry }, t("retry"))),
  );
}

/**
 * An error inside a form or a list, which is said at once.
 * @param {Problem} error
 */
export function errorLine(error) {
  return h("p", { class: "message bad", role: "alert" }, icon("alert"), h("span", {}, problemText(error)));
}

/**
 * A part of a page. Its heading is the text of a key.
 * @param {string} title
 * @param {...Child} content
 */
export function card(title, ...content) {
  return h("section", { class: "card" }, h("h2", {}, t(title)), content);
}

/**
 * The parts of a page beside each other, as links. `items` are pairs of the address behind # and a text.
 * @param {string[][]} items
 * @param {string} current
 */
export function choice(items, current) {
  return h("p", { class: "choice" }, items.map(([address, text]) => h(
    "a", { href: `#/${address}`, "aria-current": address === current && "true" }, text,
  )));
}

/** @param {string} text @param {...Child} actions */
export function emptyPanel(text, ...actions) {
  return h("div", { class: "panel empty" }, icon("empty"), h("p", {}, text), actions);
}

/** @param {Done} onChange */
export function languageSelect(onChange) {
  const id = newId("language");
  const options = Object.entries(LANGUAGES).map(([code, name]) => h("option", { value: code, lang: code }, name));
  const change = async () => {
    await setLanguage(select.value);
    onChange();
  };
  const select = h("select", { id, value: language(), onchange: change }, options);
  return h("p", { class: "language" }, h("label", { for: id }, t("language")), select);
}
