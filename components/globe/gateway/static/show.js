/** An answer and its distance from the truth, in words, on the page. */

import { isPlace } from "./places.js";
import { clean, km, placeName, placeless, reach, remarks, sureness, worth } from "./words.js";

const $ = (id) => document.getElementById(id);

function item(text, kind = "") {
  const made = document.createElement("li");
  made.textContent = text;
  made.className = kind;
  return made;
}

function lead(bold, rest) {
  const made = document.createElement("b");
  made.textContent = bold;
  $("sureness").replaceChildren(...(bold ? [made, `: ${rest}`] : [rest]));
}

/**
 * Show an answer; null while there is none.
 *
 * @param looking Whether one is on its way.
 * @param toOther Called with the place of another try when its button is pressed.
 */
export function showAnswer(answer, looking = false, toOther = () => {}) {
  const placed = isPlace(answer);
  $("answer").classList.toggle("waiting", !answer);
  $("to-guess").hidden = !placed;
  $("legend").hidden = !placed;
  $("others").hidden = true;
  $("remarks").replaceChildren();
  if (!answer) {
    $("place").textContent = looking ? "Looking …" : "The guess will appear here";
    $("sureness").textContent = looking ? "" : "with how sure it is, where else it may be, and a ring for how far off it can be.";
    return;
  }
  if (answer.model?.name) $("model").textContent = `Model: ${clean(answer.model.name)} ${clean(answer.model.digest).slice(0, 19)}`;
  $("shortened").hidden = !answer.reasoning_shortened || answer.precision === "city";
  if (!placed) {
    const [title, why] = placeless(answer);
    $("place").textContent = title;
    $("sureness").textContent = why;
    return;
  }
  $("place").textContent = placeName(answer);
  const { words, why } = sureness(answer);
  lead(words, why);
  const notes = remarks(answer).map(([text, warns]) => item(text, warns ? "warn" : ""));
  $("remarks").replaceChildren(...notes, item(reach(answer)));
  showOthers(answer, toOther);
  const ring = typeof answer.radius_km === "number";
  $("legend-ring").hidden = !ring;
  $("legend-ring-said").textContent = ring ? `${Math.round(answer.radius_level_percent)}% are this near: ${km(answer.radius_km)}` : "";
}

function showOthers(answer, toOther) {
  const others = answer.alternatives ?? [];
  $("others").hidden = !others.length;
  $("legend-others").hidden = !others.some(isPlace);
  let number = 1;
  $("others-list").replaceChildren(...others.map((other) => {
    const [made, button, mark, name, share] = ["li", "button", "i", "bdi", "span"].map((tag) => document.createElement(tag));
    button.type = "button";
    mark.textContent = isPlace(other) ? ++number : "?";
    name.textContent = placeName({ ...other, level: other.city ? "city" : other.region ? "region" : "country" });
    share.textContent = `${Math.max(1, Math.round(other.share * answer.n))} of ${answer.n}`;
    button.append(mark, name, share);
    button.disabled = !isPlace(other);
    button.addEventListener("click", () => toOther({ lat: other.lat_deg, lon: other.lon_deg }));
    made.append(button);
    return made;
  }));
}

/** Show how far the truth is from the guess, and say it. */
export function showMeasured(answer, places, distanceKm) {
  const { truth, guess, others } = places;
  $("legend-truth").hidden = !truth;
  $("measured").hidden = !truth || !guess;
  if (!truth || !guess) return truth ? "Marked. There is no guess to measure from yet." : "";
  const distance = distanceKm(guess, truth);
  const bold = document.createElement("b");
  bold.textContent = km(distance);
  $("far").replaceChildren("The guess is ", bold, ` off. ${worth(distance, answer.level)}`);
  const told = others.map((other, i) => item(`${other.name} would be ${km(distanceKm(other, truth))} off.`));
  const radius = answer.radius_km;
  if (typeof radius === "number") told.unshift(item(distance <= radius ? "The truth lies inside the ring." : "The truth lies outside the ring."));
  $("far-others").replaceChildren(...told);
  return $("far").textContent;
}
