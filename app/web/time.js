/** Times in the zone of the user or of an entry. The server has instants; people read and type local times. */

import { locale, t } from "./text.js";

const DAY = 86_400_000;
let clockOffset = 0;

/**
 * Remember how far the clock of this device is from that of the server, by the Date header of a response.
 * @param {string | null} dateHeader
 */
export function compareClock(dateHeader) {
  const difference = Date.parse(dateHeader ?? "") - Date.now();
  if (!Number.isNaN(difference)) clockOffset = Math.abs(difference) > 5_000 ? difference : 0;
}

/** Return the present instant by the clock of the server. */
export function now() {
  return new Date(Date.now() + clockOffset);
}

/** @param {Instant} instant @param {string} zone */
function partsOf(instant, zone) {
  /** @type {Intl.DateTimeFormatOptions} */
  const options = { year: "numeric", month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit" };
  const format = new Intl.DateTimeFormat("en-CA", {
    ...options, second: "2-digit", hourCycle: "h23", timeZone: zone,
  });
  return Object.fromEntries(format.formatToParts(new Date(instant)).map(({ type, value }) => [type, value]));
}

/**
 * Return the local day of an instant, such as 2026-03-02.
 * @param {Instant} instant
 * @param {string} zone
 */
export function dayOf(instant, zone) {
  const { year, month, day } = partsOf(instant, zone);
  return `${year}-${month}-${day}`;
}

/**
 * Return the value of an input for a local time, with seconds only if there are any.
 * @param {Instant} instant
 * @param {string} zone
 */
export function toInput(instant, zone) {
  const { hour, minute, second } = partsOf(instant, zone);
  return `${dayOf(instant, zone)}T${hour}:${minute}${second === "00" ? "" : `:${second}`}`;
}

/**
 * Return the instant of a local time. A time that the clock skips is moved on, one that comes twice is the first.
 * @param {string} text
 * @param {string} zone
 */
export function fromInput(text, zone) {
  const asUtc = Date.parse(`${text}Z`);
  /** @param {number} instant */
  const offsetAt = (instant) => Date.parse(`${toInput(instant, zone)}Z`) - Math.floor(instant / 1000) * 1000;
  const before = asUtc - offsetAt(asUtc - DAY);
  const after = asUtc - offsetAt(asUtc + DAY);
  const found = [before, after].find((each) => offsetAt(each) === asUtc - each) ?? before;
  return new Date(found).toISOString().replace(".000", "");
}

/**
 * Return a day some days later, such as 2026-03-09 for 7 days after 2026-03-02.
 * @param {string} day
 * @param {number} days
 */
export function addDays(day, days) {
  return new Date(Date.parse(`${day}T00:00Z`) + days * DAY).toISOString().slice(0, 10);
}

/**
 * Return the first and last day of the week, which begins on Monday, or of the month around a day.
 * @param {string} day
 * @param {string} unit
 * @returns {[string, string]}
 */
export function rangeAround(day, unit) {
  if (unit === "week") {
    const first = addDays(day, -((new Date(`${day}T00:00Z`).getUTCDay() + 6) % 7));
    return [first, addDays(first, 6)];
  }
  const first = `${day.slice(0, 7)}-01`;
  return [first, addDays(nextMonth(first), -1)];
}

/**
 * Return the 1st of the next month.
 * @param {string} day
 */
export function nextMonth(day) {
  return `${addDays(`${day.slice(0, 7)}-01`, 31).slice(0, 7)}-01`;
}

/** @param {Instant} instant @param {string} zone */
export function formatTime(instant, zone) {
  return new Intl.DateTimeFormat(locale(), { hour: "2-digit", minute: "2-digit", timeZone: zone })
    .format(new Date(instant));
}

/** @param {Instant} instant @param {string} zone */
export function formatInstant(instant, zone) {
  return new Intl.DateTimeFormat(locale(), { dateStyle: "medium", timeStyle: "short", timeZone: zone })
    .format(new Date(instant));
}

/**
 * Format a day, such as Monday, 2 March.
 * @param {string} day
 * @param {Intl.DateTimeFormatOptions} [options]
 */
export function formatDay(day, options = { weekday: "long", day: "numeric", month: "long" }) {
  return new Intl.DateTimeFormat(locale(), { ...options, timeZone: "UTC" }).format(new Date(`${day}T00:00Z`));
}

/**
 * Format the days from the first to the last one, without what they share.
 * @param {string} first
 * @param {string} last
 */
export function formatRange(first, last) {
  const format = new Intl.DateTimeFormat(locale(), {
    day: "numeric", month: "short", year: "numeric", timeZone: "UTC",
  });
  return format.formatRange(new Date(`${first}T00:00Z`), new Date(`${last}T00:00Z`));
}

/**
 * Format a length such as 7:45, for columns of numbers.
 * @param {number} seconds
 */
export function formatLength(seconds) {
  const minutes = Math.floor(seconds / 60);
  return `${Math.floor(minutes / 60)}:${String(minutes % 60).padStart(2, "0")}`;
}

/**
 * Format a length such as 7 h 45 min, for sentences.
 * @param {number} seconds
 */
export function spellLength(seconds) {
  const minutes = Math.floor(seconds / 60);
  return t("length", { hours: Math.floor(minutes / 60), minutes: minutes % 60 });
}
