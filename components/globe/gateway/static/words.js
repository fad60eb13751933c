/** What the page says, in words. */

import { ANYWHERE_KM } from "./geo.js";

const UNSEEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]/gu;

/** A text of unknown origin without characters that nobody sees, or that turn others around. */
export const clean = (text) => String(text ?? "").replace(UNSEEN, "");
const short = (text) => clean(text).replace(/\s+/g, " ").trim().slice(0, 120);

/** "Lisbon, Portugal" */
export function placeName({ city, region, country, level }) {
  if (level === "region" && !short(region)) return `A region of ${short(country)}`;
  const parts = [level === "city" ? short(city) : level === "region" ? short(region) : "", short(country)];
  return parts.filter(Boolean).join(", ") || "An unnamed place";
}

export function km(value) {
  if (value < 10) return `${value.toFixed(1)} km`;
  return `${Math.round(value).toLocaleString("en")} km`;
}

/** How sure the model seems: a few words, and what they rest on. */
export function sureness({ confidence, n, answered }) {
  if (typeof confidence !== "number") return { words: "", why: "How sure the model is, is not known." };
  const words = ["Little more than a hunch", "Unsure", "Fairly sure", "Quite sure"][[0.4, 0.6, 0.8].filter((one) => confidence >= one).length];
  if (n > 1) {
    const agreeing = Math.round(confidence * n);
    const why = agreeing === n ? `all ${n} of its tries gave this place` : `${agreeing} of its ${n} tries gave this place`;
    return { words, why: `${why}${answered < n ? `, and ${n - answered} got no answer` : ""}.` };
  }
  return { words, why: `it gives this answer a probability of ${Math.round(confidence * 100)}%.` };
}

/** How far off such answers can be. */
export function reach({ radius_km: radius, radius_level_percent: level }) {
  if (typeof radius !== "number") return "How far off it may be, nobody has measured for this model.";
  if (radius >= ANYWHERE_KM) return `So far, such answers were too often far off to promise any distance at ${level}%.`;
  return `Of answers like this one, ${Math.round(level)}% are within ${km(radius)} of the truth, on photos like those that it was tested with.`;
}

/** What else has to be said about an answer, as [text, whether it's a warning]. */
export function remarks(answer) {
  const found = [];
  const [city, country] = [short(answer.city), short(answer.country)];
  if (answer.precision === "country") found.push(["This server tells countries only; the map shows the country's middle.", true]);
  else if (answer.precision === "region") {
    const middle = answer.level === "region" ? "the region's" : "the country's";
    found.push([`This server tells regions, and nothing finer; the map shows ${middle} middle.`, true]);
  }
  else if (answer.level === "country" && city) {
    found.push([`It named “${city}”, which is not among the towns that are known of ${country}: the map shows the country's middle.`, true]);
  } else if (answer.level === "country") found.push(["It named a country and no town: the map shows the country's middle.", true]);
  return found;
}

/** Why an answer has no place on the map. */
export function placeless({ status, country, city }) {
  const named = [short(city), short(country)].filter(Boolean).join(", ");
  return {
    not_geocoded: ["A place that is not on the map", `It answered “${named}”, and no such place is known.`],
    not_parsed: ["No clear answer", "What it wrote does not name one place."],
    no_answer: ["No answer", "It wrote nothing. Another photo may have more to go by."],
    cut_off: ["It lost its thread", "It was still thinking when it reached the limit of an answer."],
  }[status] ?? ["No place", "The answer names none."];
}

/** What a distance is worth, by the thresholds that the field uses. */
export function worth(distance, level) {
  const counted = level === "country" ? Math.max(distance, 750) : distance;
  const steps = [[1, "the same street"], [25, "the right town"], [200, "the right region"], [750, "about the right country"], [2500, "the right continent"]];
  const found = steps.find(([most]) => counted <= most);
  return found ? `That counts as ${found[1]} (within ${km(found[0]).replace(".0", "")}).` : "That is not even the right continent.";
}

/** A place from what a user types: "48.21, 16.37", "48.21 N 16.37 E", "-33.9 151.2"; null if it is none. */
export function typedPlace(text) {
  const found = /^\s*([+\-−]?\d{1,2}(?:\.\d+)?)\s*°?\s*([NS])?\s*[,;\s]\s*([+\-−]?\d{1,3}(?:\.\d+)?)\s*°?\s*([EW])?\s*$/i.exec(text);
  if (!found) return null;
  const [lat, lon] = [[found[1], found[2]], [found[3], found[4]]].map(
    ([digits, side]) => Number(digits.replace("−", "-")) * (/[SW]/i.test(side ?? "") ? -1 : 1));
  return Math.abs(lat) <= 90 && Math.abs(lon) <= 180 ? { lat, lon } : null;
}

/** What went wrong, and whether asking again by itself makes sense. */
export function troubleWords({ kind, said, code }, keyGiven) {
  const own = short(said);
  const by = {
    down: "The server cannot be reached. It may be starting, or your connection may be down.",
    broken: own || "The answer broke off.",
    401: keyGiven ? "The server does not know this key, or it has expired." : "This server asks for a key.",
    403: own || "The server does not allow this.",
    404: "This server does not answer questions about photos.",
    413: `The picture is too large for this server. ${own}`,
    415: `The server cannot read this kind of file. ${own}`,
    422: `The server could not use this picture. ${own}`,
    429: "That was more than one may ask this server for in a minute.",
    503: "The server has no time for it now.",
    504: "The model took too long.",
  };
  return { words: by[kind] ?? (own || `The server answered with an error (${kind}).`), passing: kind === 429 || kind === 503, code };
}
