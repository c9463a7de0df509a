/** The choice of a time zone. */

import { t } from "../text.js";
import { field } from "./form.js";

/** @param {string} value @param {string} [hint] */
export function zoneField(value, hint) {
  const zones = [...new Set([...Intl.supportedValuesOf("timeZone"), value, "UTC"])].sort();
  const options = zones.map((zone) => [zone, zone.replaceAll("_", " ")]);
  return field("time_zone", t("account.zone"), { kind: "select", options, value, hint });
}
