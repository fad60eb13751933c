/** The photos of this tab, to look at again. Nothing of it is stored: it ends with the page. */

import { distanceKm } from "./geo.js";
import { isPlace } from "./places.js";
import { km, placeName, placeless } from "./words.js";

const MOST = 12;
const SIDE_PX = 112;

export class History {
  /** @param reopen Called with an entry that the user wants to see again. */
  constructor(section, list, reopen) {
    Object.assign(this, { section, list, reopen, entries: [] });
  }

  /** @param entry answer, photo and reasoning. */
  add(entry) {
    entry.item = this.made(entry);
    this.entries.unshift(entry);
    this.list.prepend(entry.item);
    for (const old of this.entries.splice(MOST)) old.item.remove();
    this.section.hidden = this.entries.length < 2; // one alone is what the page shows anyway
    return entry;
  }

  made(entry) {
    const { answer, photo } = entry;
    const [item, button, canvas, text, name, note] = ["li", "button", "canvas", "span", "bdi", "small"].map((tag) => document.createElement(tag));
    button.type = "button";
    name.textContent = isPlace(answer) ? placeName(answer) : placeless(answer)[0];
    Object.assign(canvas, { width: SIDE_PX, height: SIDE_PX });
    canvas.setAttribute("aria-hidden", "true");
    createImageBitmap(photo.blob).then((bitmap) => {
      const side = Math.min(bitmap.width, bitmap.height);
      canvas.getContext("2d").drawImage(bitmap, (bitmap.width - side) / 2, (bitmap.height - side) / 2, side, side, 0, 0, SIDE_PX, SIDE_PX);
      bitmap.close();
    }, () => {});
    entry.note = note;
    text.append(name, note);
    button.append(canvas, text);
    button.addEventListener("click", () => this.reopen(entry));
    item.append(button);
    return item;
  }

  /** Keep with an entry where its photo really was, and how far off the guess is. */
  measured(entry, { guess, truth }) {
    entry.truth = truth;
    entry.note.textContent = guess && truth ? `${km(distanceKm(guess, truth))} off` : "";
  }
}
