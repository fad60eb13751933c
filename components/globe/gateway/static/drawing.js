/** What the map's canvas shows: sea, land, borders, and as many names as there is room for. */

import { MOST_HEIGHT, heightOf, latitudeAt, widthOf } from "./geo.js";

/** Points nearer than this to the one before are left out: more of them while all the world's are to be drawn. */
const [NEAR_PX, NEAR_PX_FROM_AFAR] = [0.7, 1.6];
const AFAR = 450;
const LEAST_PX = 1.2;

/** The world's edge in the box's pixels. */
export function outlinePath({ view, width, height }) {
  const side = Array.from({ length: 61 }, (_, i) => -90 + 3 * i);
  const edge = (lat, sign) => [width / 2 + sign * 180 * widthOf(lat) * view.scale, height / 2 - (heightOf(lat) - view.height) * view.scale];
  return [...side.map((lat) => edge(lat, -1)), ...side.reverse().map((lat) => edge(lat, 1))];
}

function trace(context, points) {
  points.forEach(([x, y], i) => (i ? context.lineTo(x, y) : context.moveTo(x, y)));
}

/** Add a shape to the path, once for each time that it can be seen; points that are hardly apart are left out. */
function addShape(context, made, seen) {
  const { view, width, height } = seen;
  if (made.south > seen.north || made.north < seen.south) return;
  const near = view.scale < AFAR ? NEAR_PX_FROM_AFAR : NEAR_PX;
  if (Math.max(made.north - made.south, (made.east - made.west) / 70) * view.scale < LEAST_PX) return;
  for (let turn = -2; turn <= 2; turn++) {
    const from = view.lon - 360 * turn;
    if (made.west > from + seen.across || made.east < from - seen.across) continue;
    let [lastX, lastY] = [NaN, NaN];
    for (let i = 0; i < made.lon.length; i++) {
      const x = width / 2 + (made.lon[i] - from) * made.width[i] * view.scale;
      const y = height / 2 - (made.height[i] - view.height) * view.scale;
      if (i === 0) context.moveTo(x, y);
      else if (Math.abs(x - lastX) < near && Math.abs(y - lastY) < near) continue;
      else context.lineTo(x, y);
      [lastX, lastY] = [x, y];
    }
    context.closePath();
  }
}

/** What of the world the box shows: heights, and degrees to either side of its meridian. */
function sight({ view, width, height }) {
  const [north, south] = [view.height + height / 2 / view.scale, view.height - height / 2 / view.scale];
  const narrowest = Math.min(...[north, south].map((one) => widthOf(latitudeAt(one))));
  return { view, width, height, north, south, across: Math.min(180, width / 2 / (narrowest * view.scale)) };
}

export function drawLand(context, map, colour) {
  const { ratio, width, height, world, view } = map;
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  context.save();
  context.beginPath();
  trace(context, outlinePath(map));
  context.clip();
  context.fillStyle = colour("--sea");
  context.fillRect(0, 0, width, height);
  const seen = sight(map);
  drawGraticule(context, map, seen, colour("--grid"));
  if (world) {
    context.beginPath();
    for (const country of world.countries) for (const ring of country.rings) addShape(context, ring, seen);
    context.fillStyle = colour("--ground");
    context.fill("evenodd");
    context.strokeStyle = colour("--border");
    context.lineJoin = "round";
    context.lineWidth = Math.min(1.3, 0.55 + view.scale / 2500);
    context.stroke();
  }
  context.restore();
  context.beginPath();
  trace(context, outlinePath(map));
  context.closePath();
  context.strokeStyle = colour("--line");
  context.lineWidth = 1;
  context.stroke();
}

function drawGraticule(context, { view, width, height }, seen, colour) {
  const apart = [30, 15, 10, 5, 2, 1].find((one) => one * widthOf(0) * view.scale < 190) ?? 1;
  const [north, south] = [Math.min(MOST_HEIGHT, seen.north), Math.max(-MOST_HEIGHT, seen.south)];
  context.beginPath();
  for (let lat = -90 + apart; lat < 90; lat += apart) {
    const y = height / 2 - (heightOf(lat) - view.height) * view.scale;
    if (y < 0 || y > height) continue;
    context.moveTo(0, y);
    context.lineTo(width, y);
  }
  const first = Math.ceil((view.lon - seen.across) / apart) * apart;
  for (let lon = first; lon <= view.lon + seen.across; lon += apart) {
    for (let i = 0; i <= 24; i++) {
      const at = south + ((north - south) * i) / 24;
      const x = width / 2 + (lon - view.lon) * widthOf(latitudeAt(at)) * view.scale;
      const y = height / 2 - (at - view.height) * view.scale;
      if (i) context.lineTo(x, y);
      else context.moveTo(x, y);
    }
  }
  context.strokeStyle = colour;
  context.lineWidth = 1;
  context.stroke();
}

/** Names of countries where they fit, then of towns, the largest first, none over another. */
export function drawLabels(context, map, colour) {
  const { world, view, width, height } = map;
  if (!world) return;
  const taken = [...(map.reserved?.() ?? [])];
  const free = (box) => !taken.some((one) => box[0] < one[2] && box[2] > one[0] && box[1] < one[3] && box[3] > one[1]);
  const inside = ({ x, y }) => x > 0 && x < width && y > 0 && y < height;
  const whole = (box) => box[0] > 0 && box[1] > 0 && box[2] < width && box[3] < height;
  const sans = colour("--sans");
  context.textAlign = "center";
  context.textBaseline = "middle";
  context.lineJoin = "round";
  const write = (text, x, y, ink) => {
    context.lineWidth = 3;
    context.strokeStyle = colour("--ground");
    context.strokeText(text, x, y);
    context.fillStyle = ink;
    context.fillText(text, x, y);
  };
  for (const country of world.countries) {
    const across = country.size * view.scale;
    if (!country.name || across < 44) continue;
    const at = map.pixel(country);
    if (!inside(at)) continue;
    const size = Math.round(Math.max(11, Math.min(15, across / 11)));
    context.font = `600 ${size}px ${sans}`;
    const half = context.measureText(country.name).width / 2;
    const box = [at.x - half - 4, at.y - size, at.x + half + 4, at.y + size];
    if (half * 2 > across * 1.5 || !whole(box) || !free(box)) continue;
    taken.push(box);
    write(country.name, at.x, at.y, colour("--soft"));
  }
  const most = Math.round((width * height) / 26_000);
  const ranks = view.scale < 330 ? 0 : Math.min(world.towns.length, Math.round((view.scale / 330) ** 1.5 * 60));
  context.font = `11.5px ${sans}`;
  context.textAlign = "left";
  let shown = 0;
  for (let rank = 0; rank < ranks && shown < most; rank++) {
    const town = world.towns[rank];
    const at = map.pixel(town);
    if (!inside(at)) continue;
    const box = [at.x - 4, at.y - 9, at.x + 9 + context.measureText(town.name).width, at.y + 9];
    if (!whole(box) || !free(box)) continue;
    taken.push(box);
    shown++;
    write(town.name, at.x + 6, at.y, colour("--ink"));
    context.beginPath();
    context.arc(at.x, at.y, 2, 0, 7);
    context.fillStyle = colour("--soft");
    context.fill();
  }
}
