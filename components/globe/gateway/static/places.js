/** What the map shows above the land: the guess, its ring, the other tries, and where the photo really was. */

import { ANYWHERE_KM, circle, distanceKm, shortestWay } from "./geo.js";
import { placeName } from "./words.js";
import { shape } from "./world.js";

const SVG = "http://www.w3.org/2000/svg";
const NEARLY_ANYWHERE_KM = 19_800;

export class Places {
  constructor(svg) {
    this.svg = svg;
    this.clear();
  }

  clear() {
    Object.assign(this, { guess: null, name: "", ring: null, everywhere: false, others: [], truth: this.truth ?? null });
  }

  /** @param answer What the server answered; @param name How its place is called. */
  show(answer, name) {
    this.clear();
    if (!isPlace(answer)) return;
    this.guess = { lat: answer.lat_deg, lon: answer.lon_deg };
    this.name = name;
    this.others = (answer.alternatives ?? []).filter(isPlace)
      .map((one) => ({ lat: one.lat_deg, lon: one.lon_deg, name: placeName({ ...one, level: "city" }) }));
    const radius = answer.radius_km;
    if (typeof radius === "number" && radius > 0 && radius < NEARLY_ANYWHERE_KM) {
      const poles = [90, -90].filter((lat) => distanceKm(this.guess, { lat, lon: 0 }) < radius);
      this.ring = shape(circle(this.guess, radius), poles.length === 1 ? poles[0] : 0);
      this.everywhere = poles.length === 2; // the ring is then around what lies outside
    }
  }

  /** How far around the guess the map should show, in km. */
  around(answer) {
    const radius = Math.min(answer.radius_km ?? 0, ANYWHERE_KM / 2);
    return Math.max(radius * 1.25, answer.level === "country" ? 1600 : answer.level === "region" ? 900 : 500);
  }

  /** Pixels that the map's own labels keep away from. */
  reserved(map) {
    return [this.guess, this.truth, ...this.others].filter(Boolean).map((one) => {
      const { x, y } = map.pixel(one);
      const text = one === this.guess ? 16 + this.name.length * 7.4 : 14;
      return this.isLeft(map, x) ? [x - text, y - 14, x + 14, y + 14] : [x - 14, y - 14, x + text, y + 14];
    });
  }

  /** Whether the guess's name stands to its left, for want of room to its right. */
  isLeft(map, x) {
    return x > map.width - 80 - this.name.length * 7.4 && x > this.name.length * 7.4;
  }

  draw(map) {
    const made = [];
    const add = (kind, attributes, text) => {
      const element = document.createElementNS(SVG, kind);
      for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
      if (text !== undefined) element.textContent = text;
      made.push(element);
      return element;
    };
    const at = (place) => map.pixel(place);
    if (this.guess || this.truth) {
      const clip = add("clipPath", { id: "world-edge" });
      const edge = document.createElementNS(SVG, "path");
      edge.setAttribute("d", map.outline());
      clip.append(edge);
    }
    if (this.ring) {
      const outside = this.everywhere ? map.outline() : "";
      add("path", { class: "ring", d: outside + map.path(this.ring), "clip-path": "url(#world-edge)" });
    }
    if (this.guess && this.truth) add("path", { class: "way", d: map.line(shortestWay(this.guess, this.truth)), "clip-path": "url(#world-edge)" });
    [...this.others].reverse().forEach((place, i) => {
      const { x, y } = at(place);
      add("circle", { class: "other", cx: x, cy: y, r: 9.5 });
      add("text", { class: "number", x, y }, this.others.length - i + 1);
    });
    if (this.guess) {
      const { x, y } = at(this.guess);
      add("circle", { class: "halo", cx: x, cy: y, r: 15 });
      add("circle", { class: "guess", cx: x, cy: y, r: 8 });
      const left = this.isLeft(map, x);
      add("text", { x: x + (left ? -15 : 15), y: y + 4.5, "text-anchor": left ? "end" : "start" }, this.name);
    }
    if (this.truth) {
      const { x, y } = at(this.truth);
      add("path", { class: "truth", d: `M${x} ${y - 9}L${x + 9} ${y}L${x} ${y + 9}L${x - 9} ${y}Z` });
    }
    this.svg.replaceChildren(...made);
  }
}

export const isPlace = (one) =>
  typeof one?.lat_deg === "number" && typeof one.lon_deg === "number" && Math.abs(one.lat_deg) <= 90 && Math.abs(one.lon_deg) <= 180;

/** The world in dots, as the reports' heads show it. */
export function drawBackdrop(canvas, world, { project, colour }) {
  const [width, height] = [canvas.clientWidth, canvas.clientHeight];
  const ratio = Math.min(devicePixelRatio || 1, 2);
  Object.assign(canvas, { width: Math.round(width * ratio), height: Math.round(height * ratio) });
  const context = canvas.getContext("2d", { willReadFrequently: true });
  const scale = Math.max(width, 900) / 5.4;
  context.beginPath();
  for (const { rings } of world.countries) {
    for (const ring of rings) {
      for (let i = 0; i < ring.lon.length; i++) {
        const [x, y] = project(ring, i, scale, width, height);
        if (i) context.lineTo(x, y);
        else context.moveTo(x, y);
      }
      context.closePath();
    }
  }
  context.fill("evenodd");
  const land = context.getImageData(0, 0, canvas.width, canvas.height);
  context.setTransform(1, 0, 0, 1, 0, 0);
  context.clearRect(0, 0, canvas.width, canvas.height);
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.fillStyle = colour;
  const [apart, down] = [7, 6.06];
  for (let row = 0; row * down < height; row++) {
    for (let x = (row % 2) * (apart / 2); x < width; x += apart) {
      const y = row * down;
      if (!land.data[4 * (Math.floor(y) * canvas.width + Math.floor(x)) + 3]) continue;
      context.beginPath();
      context.arc(x, y, 1.8, 0, 7);
      context.fill();
    }
  }
}
