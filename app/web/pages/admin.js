/** What admins set up: users, projects, and the periods of timesheets. The address has the part and a search. */

import { h } from "../dom.js";
import { choice } from "../parts/panels.js";
import { t } from "../text.js";

/** @type {Record<string, () => Promise<{show: (search: string, reload: Done) => Promise<Child>}>>} */
const PARTS = {
  __proto__: /** @type {any} */ (null),
  users: () => import("../parts/admin-users.js"),
  projects: () => import("../parts/admin-projects.js"),
  timesheets: () => import("../parts/admin-timesheets.js"),
};

/** @type {Render} */
export async function render({ rest: [given, search = ""], reload }) {
  const name = given in PARTS ? given : "users";
  const { show } = await PARTS[name]();
  const links = Object.keys(PARTS).map((each) => [`admin/${each}`, t(`admin.part_${each}`)]);
  return {
    content: [
      h("div", { class: "head" }, h("h1", { tabindex: "-1" }, t("admin.title")), choice(links, `admin/${name}`)),
      await show(search, reload),
    ],
  };
}
