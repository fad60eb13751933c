/** The world's outlines, as `globe.gateway.world_map` writes them, made ready to be drawn quickly at any centre and size. */

import { heightOf, unrolled, widthOf } from "./geo.js";

const DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+-";
const VALUES = new Map([...DIGITS].map((digit, value) => [digit, value]));

/** Fetch the file. Without it there is a map with positions alone. */
export async function loadWorld(address) {
  const reply = await fetch(address);
  if (!reply.ok) throw new Error(`the map: ${reply.status}`);
  const file = await reply.json();
  const arcs = file.arcs.map((text) => positions(text, file.unit_deg));
  const countries = file.countries.map(([name, lat, lon, area, rings]) => ({
    name, lat, lon, size: Math.sqrt(area * 1000) / 6371, rings: rings.map((ring) => shape(joined(ring, arcs))),
  }));
  const towns = file.towns.map(([name, lat, lon]) => ({ name, lat, lon }));
  return { countries, towns };
}

/** A line's positions from its text: differences, zigzag, five bits a digit. */
function positions(text, unitDeg) {
  const numbers = [];
  let [value, shift] = [0, 0];
  for (const digit of text) {
    const bits = VALUES.get(digit);
    value |= (bits & 31) << shift;
    shift += 5;
    if (bits & 32) continue;
    numbers.push(value & 1 ? -((value + 1) >> 1) : value >> 1);
    [value, shift] = [0, 0];
  }
  const found = [];
  let [x, y] = [0, 0];
  for (let i = 0; i < numbers.length; i += 2) {
    x += numbers[i];
    y += numbers[i + 1];
    found.push({ lon: x * unitDeg, lat: y * unitDeg });
  }
  return found;
}

function joined(ring, arcs) {
  return ring.flatMap((at, i) => {
    const arc = at < 0 ? [...arcs[~at]].reverse() : arcs[at];
    return i ? arc.slice(1) : arc;
  });
}

/** A closed ring with everything that drawing needs: per point its longitude, and its latitude's width and height on the map. */
export function shape(ring, pole = 0) {
  const { lon, lat } = unrolled(ring, pole);
  const made = {
    lon: Float64Array.from(lon), width: Float64Array.from(lat, widthOf), height: Float64Array.from(lat, heightOf),
  };
  const ends = (values) => [values.reduce((a, b) => Math.min(a, b)), values.reduce((a, b) => Math.max(a, b))];
  [made.west, made.east] = ends(made.lon);
  [made.south, made.north] = ends(made.height);
  return made;
}
