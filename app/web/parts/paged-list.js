/** Long lists: a search, whose text is in the address, and pages that are added on request. */

import { call } from "../api.js";
import { h } from "../dom.js";
import { t } from "../text.js";
import { field, form } from "./form.js";
import { emptyPanel } from "./panels.js";

const SIZE = 50;

/**
 * @param {string} route behind which the text stands, such as "admin/users"
 * @param {string} text
 * @param {string} label
 */
export function searchForm(route, text, label) {
  /** @param {{search: string}} values */
  const submit = async ({ search }) => { location.hash = `#/${route}/${encodeURIComponent(search.trim())}`; };
  return form([field("search", label, { kind: "search", value: text, maxlength: 100 })], {
    label: t("list.search"), submit, kind: "",
  });
}

/**
 * A list of the items of an operation with `skip` and `limit`.
 * @param {"team" | "admin/users" | "admin/projects"} path
 * @param {string} search
 * @param {(item: any) => HTMLElement} row builds an li
 * @param {string} empty what is said if there is no item at all
 */
export async function pagedList(path, search, row, empty) {
  const query = search ? { search } : {};
  /** @param {number} skip */
  const read = (skip) => call("GET", path, { query: { ...query, skip, limit: SIZE + 1 } }); // one more than shown
  const first = await read(0);
  if (first.length === 0) return emptyPanel(search ? t("list.nothing_found") : empty);
  const list = h("ul", { class: "entries" });
  /** @param {any[]} items */
  const add = (items) => {
    list.append(...items.slice(0, SIZE).map(row));
    more.hidden = items.length <= SIZE;
  };
  const submit = async () => {
    const count = list.children.length;
    add(await read(count));
    /** @type {HTMLElement | null} */ (list.children[count]?.querySelector("button, a"))?.focus();
  };
  const more = form([], { label: t("list.more"), submit, kind: "" });
  add(first);
  return [list, more];
}
