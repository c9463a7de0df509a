/** The week or month of a user of the team. */

import { Problem, call } from "../api.js";
import { h } from "../dom.js";
import { t } from "../text.js";
import { periodOf } from "./period.js";

const PAGE = 1000;

/** @param {string[]} rest @param {Done} reload */
export async function personOf([id, ...rest], reload) {
  const owner = await readPerson(Number(id));
  return [
    h("p", {}, h("a", { class: "link", href: "#/team" }, t("team.back"))),
    await periodOf(owner, `team/${id}`, rest, reload),
  ];
}

/**
 * Find a user in the team. Throws Problem if there is none.
 * @param {number} id
 */
async function readPerson(id) {
  for (let skip = 0; ; skip += PAGE) {
    const users = await call("GET", "team", { query: { skip, limit: PAGE } });
    const found = users.find((each) => each.id === id);
    if (found) return found;
    if (users.length < PAGE) throw new Problem({ code: "user_not_found" });
  }
}
