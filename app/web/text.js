/** The texts of the page, in the language of the user. A text is a key in text/en.json and text/de.json. */

/** @type {Record<string, string>} */
export const LANGUAGES = { en: "English", de: "Deutsch" };
const STORED = "language";
/** @type {Record<string, string>} */
let texts = {};
let current = "en";

/** Load the texts of the chosen language, or of the first language of the browser that there is. */
export async function loadTexts() {
  const wanted = [localStorage.getItem(STORED), ...navigator.languages.map((each) => each.slice(0, 2))];
  current = wanted.find((each) => each && each in LANGUAGES) ?? "en";
  const response = await fetch(new URL(`text/${current}.json`, import.meta.url));
  texts = await response.json();
  document.documentElement.lang = current;
}

/**
 * Remember the language, and load its texts.
 * @param {string} language
 */
export async function setLanguage(language) {
  localStorage.setItem(STORED, language);
  await loadTexts();
}

/** Return the language as the browser has it, such as en-GB, which decides how dates and times are written. */
export function locale() {
  return navigator.languages.find((each) => each.slice(0, 2) === current) ?? current;
}

export function language() {
  return current;
}

/**
 * Return a text with its {values} filled in.
 * @param {string} key
 * @param {Record<string, any>} [values]
 */
export function t(key, values = {}) {
  const text = texts[key] ?? key;
  return text.replace(/\{(\w+)\}/g, (whole, name) => (name in values ? String(values[name]) : whole));
}

/**
 * Return the sentence of an error: ours by its code, with the facts that the error names, else the server's.
 * @param {import("./api.js").Problem} error
 */
export function problemText(error) {
  const key = `problem.${error.code}`;
  return key in texts ? t(key, error) : error.detail ?? t("problem.unknown");
}
