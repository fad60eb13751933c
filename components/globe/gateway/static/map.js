/**
 * A map of the world in Equal Earth, always centred on the meridian in its middle: it turns as a globe does, so no place lies at an
 * edge, and what is looked at closely isn't slanted. Land is drawn on a canvas; what is said about places is SVG above it.
 */

import { MOST_HEIGHT, heightOf, latitudeAt, widthOf, wrapped } from "./geo.js";
import { drawLabels, drawLand, outlinePath } from "./drawing.js";

const ACROSS = 360 * widthOf(0);
const MOST_SCALE = 40_000;
const STILL_PX = 6;
const MOVES = matchMedia("(prefers-reduced-motion: reduce)");

export class WorldMap {
  /**
   * @param box The element that holds the canvas and the SVG; it takes the keyboard's and the pointer's events.
   * @param picked Called with {lat, lon} where the user clicks, or presses Enter over the crosshair.
   * @param moved Called with the map after each drawing, to draw what is above.
   */
  constructor(box, { picked, moved }) {
    this.box = box;
    this.canvas = box.querySelector("canvas");
    this.picked = picked;
    this.moved = moved;
    this.world = null;
    this.view = { lon: 10, height: heightOf(18), scale: 1 };
    this.pointers = new Map();
    Object.assign(this, { flight: 0, pending: 0, first: true });
    new ResizeObserver(() => this.resize()).observe(box);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
    this.listen();
    this.resize();
  }

  setWorld(world) {
    this.world = world;
    this.draw();
  }

  resize() {
    const { clientWidth: width, clientHeight: height } = this.box;
    if (!width || !height) return;
    const ratio = Math.min(devicePixelRatio || 1, 2);
    Object.assign(this.canvas, { width: Math.round(width * ratio), height: Math.round(height * ratio) });
    const whole = this.first || this.view.scale <= this.leastScale * 1.02;
    Object.assign(this, { width, height, ratio, leastScale: Math.min(width / ACROSS, height / (2 * MOST_HEIGHT)) * 0.98 });
    // A tall box shows a piece of the world rather than a small world with nothing around it.
    this.homeScale = Math.max(this.leastScale, Math.min(height / 2.1, (width * 1.9) / ACROSS));
    if (whole) this.view.scale = this.first ? this.homeScale : this.leastScale;
    this.first = false;
    this.settle();
    this.render(); // at once, for a canvas of another size is empty
  }

  /** Keep the view where there is something to see. */
  settle() {
    const { view } = this;
    view.scale = Math.max(this.leastScale, Math.min(MOST_SCALE, view.scale));
    view.lon = wrapped(view.lon);
    const room = Math.max(0, MOST_HEIGHT - this.height / 2 / view.scale);
    view.height = Math.max(-room, Math.min(room, view.height));
  }

  /** Draw it with the next frame; at once where there are no frames. */
  draw() {
    if (this.pending || !this.width) return;
    if (document.hidden) return this.render();
    this.pending = requestAnimationFrame(() => this.render());
  }

  render() {
    cancelAnimationFrame(this.pending);
    this.pending = 0;
    const context = this.canvas.getContext("2d");
    const style = getComputedStyle(this.box);
    const colour = (name) => style.getPropertyValue(name).trim();
    drawLand(context, this, colour);
    drawLabels(context, this, colour);
    this.moved(this);
  }

  /** Where a place is in the box, in pixels. */
  pixel({ lat, lon }) {
    const { view } = this;
    return {
      x: this.width / 2 + wrapped(lon - view.lon) * widthOf(lat) * view.scale,
      y: this.height / 2 - (heightOf(lat) - view.height) * view.scale,
    };
  }

  /** The place at a pixel of the box; null beside the world. */
  place(x, y) {
    const height = this.view.height + (this.height / 2 - y) / this.view.scale;
    if (Math.abs(height) > MOST_HEIGHT) return null;
    const lat = latitudeAt(height);
    const far = (x - this.width / 2) / (widthOf(lat) * this.view.scale);
    return Math.abs(far) > 180 ? null : { lat, lon: wrapped(this.view.lon + far) };
  }

  /** SVG path of a shape in the box, with its copies where it goes around the back of the world; clip it with the outline. */
  path(made) {
    const { view } = this;
    let text = "";
    for (let turn = -2; turn <= 2; turn++) {
      const from = view.lon - 360 * turn;
      if (made.east < from - 180 || made.west > from + 180) continue;
      for (let i = 0; i < made.lon.length; i++) {
        const x = this.width / 2 + (made.lon[i] - from) * made.width[i] * view.scale;
        const y = this.height / 2 - (made.height[i] - view.height) * view.scale;
        text += `${i ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`;
      }
      text += "Z";
    }
    return text;
  }

  /** SVG path of a line over places, broken where it goes around the back of the world. */
  line(places) {
    let [text, last] = ["", null];
    for (const place of places) {
      const far = wrapped(place.lon - this.view.lon);
      const { x, y } = this.pixel(place);
      text += `${last === null || Math.abs(far - last) > 180 ? "M" : "L"}${x.toFixed(1)} ${y.toFixed(1)}`;
      last = far;
    }
    return text;
  }

  outline() {
    return outlinePath(this).map(([x, y], i) => `${i ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`).join("") + "Z";
  }

  /** Go to a view, in one go where the user wants no movement. */
  fly(to) {
    cancelAnimationFrame(this.flight);
    const from = { ...this.view };
    const scale = Math.max(this.leastScale, Math.min(MOST_SCALE, to.scale ?? from.scale));
    const goal = { height: from.height, lon: from.lon, ...to, scale };
    const turn = wrapped(goal.lon - from.lon);
    const finish = () => {
      this.view = goal;
      this.settle();
      this.draw();
    };
    if (MOVES.matches || document.hidden) return finish();
    const way = Math.abs(Math.log(scale / from.scale)) / 2 + Math.abs(turn) / 60;
    const [start, took] = [performance.now(), 200 + 700 * Math.min(1, way)];
    const step = (now) => {
      const t = Math.min(1, Math.max(0, (now - start) / took));
      if (t === 1) return finish();
      const eased = t < 0.5 ? 4 * t ** 3 : 1 - (2 - 2 * t) ** 3 / 2;
      this.view = {
        lon: from.lon + turn * eased, height: from.height + (goal.height - from.height) * eased,
        scale: from.scale * (goal.scale / from.scale) ** eased,
      };
      this.settle();
      this.draw();
      this.flight = requestAnimationFrame(step);
    };
    this.flight = requestAnimationFrame(step);
  }

  home() {
    this.fly({ scale: this.homeScale, height: heightOf(18) });
  }

  /** Show places, and what lies so far around the first one (km). */
  fit(places, aroundKm) {
    const heights = places.map((one) => heightOf(one.lat));
    const turns = places.map((one) => wrapped(one.lon - places[0].lon));
    const [west, east] = [Math.min(...turns), Math.max(...turns)];
    const [south, north] = [Math.min(...heights), Math.max(...heights)];
    const around = (2 * aroundKm) / 6371;
    const across = (east - west) * Math.max(...places.map((one) => widthOf(one.lat)));
    const scale = Math.min(this.width / (across * 1.25 + around), this.height / ((north - south) * 1.35 + around));
    this.fly({ lon: wrapped(places[0].lon + (west + east) / 2), height: (south + north) / 2, scale });
  }

  /** Change the size by a factor, with a pixel's place staying where it is. */
  zoom(factor, x = this.width / 2, y = this.height / 2) {
    cancelAnimationFrame(this.flight);
    const [held, { view }] = [this.place(x, y), this];
    const before = view.scale;
    view.scale = Math.max(this.leastScale, Math.min(MOST_SCALE, view.scale * factor));
    if (held) {
      view.height = heightOf(held.lat) - (this.height / 2 - y) / view.scale;
      view.lon = held.lon - (x - this.width / 2) / (widthOf(held.lat) * view.scale);
    }
    this.settle();
    this.draw();
    return view.scale !== before;
  }

  pan(dx, dy, at = { x: this.width / 2, y: this.height / 2 }) {
    cancelAnimationFrame(this.flight);
    const lat = this.place(at.x, at.y)?.lat ?? latitudeAt(this.view.height);
    this.view.lon -= dx / (widthOf(lat) * this.view.scale);
    this.view.height += dy / this.view.scale;
    this.settle();
    this.draw();
  }

  listen() {
    const { box } = this;
    const at = (event) => {
      const edge = box.getBoundingClientRect();
      return { x: event.clientX - edge.left - box.clientLeft, y: event.clientY - edge.top - box.clientTop };
    };
    box.addEventListener("pointerdown", (event) => {
      if (event.button !== 0 || event.target.closest("button")) return;
      box.setPointerCapture(event.pointerId);
      this.pointers.set(event.pointerId, at(event));
      this.still = this.pointers.size === 1 ? at(event) : null;
    });
    box.addEventListener("pointermove", (event) => this.drag(event, at(event)));
    box.addEventListener("pointerup", (event) => {
      const here = at(event);
      if (this.pointers.delete(event.pointerId) && this.still) {
        const place = this.place(here.x, here.y);
        if (place) this.picked(place);
      }
      this.still = null;
    });
    box.addEventListener("pointercancel", (event) => {
      this.pointers.delete(event.pointerId);
      this.still = null;
    });
    box.addEventListener("wheel", (event) => {
      const { x, y } = at(event);
      const lines = event.deltaMode === 1 ? 16 : 1;
      // The page scrolls on where the map cannot get any smaller.
      if (this.zoom(Math.exp(Math.max(-0.6, Math.min(0.6, -event.deltaY * lines * 0.0022))), x, y)) event.preventDefault();
    }, { passive: false });
    box.addEventListener("keydown", (event) => this.press(event));
  }

  drag(event, here) {
    const before = this.pointers.get(event.pointerId);
    if (!before) return;
    if (this.still && Math.hypot(here.x - this.still.x, here.y - this.still.y) < STILL_PX) return;
    this.still = null;
    const other = [...this.pointers].find(([id]) => id !== event.pointerId)?.[1];
    if (other) {
      const [was, is] = [before, here].map((one) => Math.hypot(one.x - other.x, one.y - other.y));
      this.zoom(is / Math.max(1, was), (here.x + other.x) / 2, (here.y + other.y) / 2);
      this.pan((here.x - before.x) / 2, (here.y - before.y) / 2);
    } else {
      this.pan(here.x - before.x, here.y - before.y, before);
    }
    this.pointers.set(event.pointerId, here);
  }

  press(event) {
    if (event.target !== this.box || event.ctrlKey || event.metaKey || event.altKey) return;
    const step = event.shiftKey ? 20 : 80;
    const doings = {
      ArrowLeft: () => this.pan(step, 0), ArrowRight: () => this.pan(-step, 0),
      ArrowUp: () => this.pan(0, step), ArrowDown: () => this.pan(0, -step),
      "+": () => this.zoom(1.5), "=": () => this.zoom(1.5), "-": () => this.zoom(1 / 1.5), _: () => this.zoom(1 / 1.5),
      0: () => this.home(), Enter: () => this.pick(), " ": () => this.pick(),
    };
    if (!doings[event.key]) return;
    event.preventDefault();
    doings[event.key]();
  }

  pick() {
    const place = this.place(this.width / 2, this.height / 2);
    if (place) this.picked(place);
  }
}
