/** Positions on the Earth: the Equal Earth projection, distances and circles on the WGS 84 ellipsoid. Degrees and kilometres. */

const RAD = Math.PI / 180;
const [A1, A2, A3, A4] = [1.340264, -0.081106, 0.000893, 0.003796];
const ROOT3 = Math.sqrt(3);
const EQUATOR_KM = 6378.137;
const FLATTENING = 1 / 298.257223563;
const POLAR_KM = EQUATOR_KM * (1 - FLATTENING);
const MEAN_KM = 6371.0088;

/** No two places are farther apart, so a circle of this radius is everywhere. */
export const ANYWHERE_KM = 20015;

/** Width in map units of a degree of longitude at a latitude: the map is straight along each parallel. */
export function widthOf(latDeg) {
  const theta = Math.asin((ROOT3 / 2) * Math.sin(latDeg * RAD));
  const t2 = theta * theta;
  const slope = A1 + 3 * A2 * t2 + t2 ** 3 * (7 * A3 + 9 * A4 * t2);
  return ((2 * ROOT3) / 3) * RAD * Math.cos(theta) / slope;
}

/** Height in map units of a latitude; north is up, so it grows to the north. */
export function heightOf(latDeg) {
  const theta = Math.asin((ROOT3 / 2) * Math.sin(latDeg * RAD));
  const t2 = theta * theta;
  return theta * (A1 + A2 * t2 + t2 ** 3 * (A3 + A4 * t2));
}

export const MOST_HEIGHT = heightOf(90);

/** The latitude at a height; the pole's beyond it. */
export function latitudeAt(height) {
  let theta = Math.max(-1, Math.min(1, height / MOST_HEIGHT)) * (Math.PI / 3);
  for (let i = 0; i < 12; i++) {
    const t2 = theta * theta;
    const over = theta * (A1 + A2 * t2 + t2 ** 3 * (A3 + A4 * t2)) - height;
    theta -= over / (A1 + 3 * A2 * t2 + t2 ** 3 * (7 * A3 + 9 * A4 * t2));
  }
  return Math.asin(Math.max(-1, Math.min(1, (2 / ROOT3) * Math.sin(theta)))) / RAD;
}

/** A longitude in -180 to 180. */
export const wrapped = (lonDeg) => lonDeg - 360 * Math.floor((lonDeg + 180) / 360);

/** Geodesic distance in km (Vincenty's inverse formula; near the antipode, where it finds no end, on a sphere). */
export function distanceKm(a, b) {
  const far = wrapped(b.lon - a.lon) * RAD;
  const [u1, u2] = [a, b].map((one) => Math.atan((1 - FLATTENING) * Math.tan(one.lat * RAD)));
  const [sin1, cos1, sin2, cos2] = [Math.sin(u1), Math.cos(u1), Math.sin(u2), Math.cos(u2)];
  let lambda = far;
  for (let i = 0; i < 100; i++) {
    const [sinL, cosL] = [Math.sin(lambda), Math.cos(lambda)];
    const sin = Math.hypot(cos2 * sinL, cos1 * sin2 - sin1 * cos2 * cosL);
    if (sin === 0) return lambda === 0 || far === 0 ? 0 : ANYWHERE_KM;
    const cos = sin1 * sin2 + cos1 * cos2 * cosL;
    const sigma = Math.atan2(sin, cos);
    const sinAlpha = (cos1 * cos2 * sinL) / sin;
    const square = 1 - sinAlpha * sinAlpha;
    const middle = square ? cos - (2 * sin1 * sin2) / square : 0;
    const c = (FLATTENING / 16) * square * (4 + FLATTENING * (4 - 3 * square));
    const turn = sigma + c * sin * (middle + c * cos * (2 * middle * middle - 1));
    const next = far + (1 - c) * FLATTENING * sinAlpha * turn;
    if (Math.abs(next) > Math.PI) break;
    if (Math.abs(next - lambda) < 1e-12) {
      const { big, correction } = series(square);
      return POLAR_KM * big * (sigma - correction(sin, cos, middle));
    }
    lambda = next;
  }
  const [lat1, lat2] = [a.lat * RAD, b.lat * RAD];
  const half = Math.sin((lat2 - lat1) / 2) ** 2 + Math.cos(lat1) * Math.cos(lat2) * Math.sin(far / 2) ** 2;
  return 2 * MEAN_KM * Math.asin(Math.min(1, Math.sqrt(half)));
}

/** What both of Vincenty's formulas share: the ellipsoid's factor and correction for a line's squared cosine of azimuth. */
function series(square) {
  const u = (square * (EQUATOR_KM ** 2 - POLAR_KM ** 2)) / POLAR_KM ** 2;
  const big = 1 + (u / 16384) * (4096 + u * (u * (320 - 175 * u) - 768));
  const small = (u / 1024) * (256 + u * (u * (74 - 47 * u) - 128));
  const correction = (sin, cos, middle) => {
    const inner = cos * (2 * middle * middle - 1);
    const outer = (small / 6) * middle * (4 * sin * sin - 3) * (4 * middle * middle - 3);
    return small * sin * (middle + (small / 4) * (inner - outer));
  };
  return { big, correction };
}

/** Where one comes to from a place, going so far (km) in a direction (degrees from north): Vincenty's direct formula. */
export function destination(from, bearingDeg, km) {
  const [sinB, cosB] = [Math.sin(bearingDeg * RAD), Math.cos(bearingDeg * RAD)];
  const tan = (1 - FLATTENING) * Math.tan(from.lat * RAD);
  const cos1 = 1 / Math.sqrt(1 + tan * tan);
  const sin1 = tan * cos1;
  const first = Math.atan2(tan, cosB);
  const sinAlpha = cos1 * sinB;
  const square = 1 - sinAlpha * sinAlpha;
  const { big, correction } = series(square);
  let sigma = km / (POLAR_KM * big);
  let [sin, cos, middle] = [0, 0, 0];
  for (let i = 0; i < 50; i++) {
    [sin, cos, middle] = [Math.sin(sigma), Math.cos(sigma), Math.cos(2 * first + sigma)];
    const next = km / (POLAR_KM * big) + correction(sin, cos, middle);
    if (Math.abs(next - sigma) < 1e-12) break;
    sigma = next;
  }
  const across = sin1 * sin - cos1 * cos * cosB;
  const lat = Math.atan2(sin1 * cos + cos1 * sin * cosB, (1 - FLATTENING) * Math.hypot(sinAlpha, across));
  const lambda = Math.atan2(sin * sinB, cos1 * cos - sin1 * sin * cosB);
  const c = (FLATTENING / 16) * square * (4 + FLATTENING * (4 - 3 * square));
  const turn = sigma + c * sin * (middle + c * cos * (2 * middle * middle - 1));
  return { lat: lat / RAD, lon: wrapped(from.lon + (lambda - (1 - c) * FLATTENING * sinAlpha * turn) / RAD) };
}

/** The places at a distance from one (km), all around it: a closed ring. */
export function circle(centre, km, points = 180) {
  return Array.from({ length: points + 1 }, (_, i) => destination(centre, ((i % points) * 360) / points, km));
}

/** The shortest way between two places, on a sphere: what a line on the map shows. */
export function shortestWay(a, b, steps = 64) {
  const vector = ({ lat, lon }) => [
    Math.cos(lat * RAD) * Math.cos(lon * RAD), Math.cos(lat * RAD) * Math.sin(lon * RAD), Math.sin(lat * RAD)];
  const [p, q] = [vector(a), vector(b)];
  const angle = Math.acos(Math.max(-1, Math.min(1, p[0] * q[0] + p[1] * q[1] + p[2] * q[2])));
  if (angle < 1e-6 || Math.PI - angle < 1e-6) return [a, b];
  return Array.from({ length: steps + 1 }, (_, i) => {
    const [w, v] = [Math.sin((1 - i / steps) * angle) / Math.sin(angle), Math.sin((i / steps) * angle) / Math.sin(angle)];
    const [x, y, z] = p.map((one, axis) => w * one + v * q[axis]);
    return { lat: Math.atan2(z, Math.hypot(x, y)) / RAD, lon: Math.atan2(y, x) / RAD };
  });
}

/**
 * A closed ring of places as a shape that can be drawn: longitudes without jumps, and closed along a pole if it goes around one.
 *
 * @param pole 90 or -90: the pole inside, for a ring that goes around the Earth; the nearer one if it isn't known.
 */
export function unrolled(ring, pole = 0) {
  const lon = [ring[0].lon];
  for (let i = 1; i < ring.length; i++) lon.push(lon[i - 1] + wrapped(ring[i].lon - ring[i - 1].lon));
  const lat = ring.map((one) => one.lat);
  const last = lon.length - 1;
  if (Math.abs(lon[last] - lon[0]) > 180) {
    const closing = pole || (lat.reduce((sum, one) => sum + one, 0) > 0 ? 90 : -90);
    lon.push(lon[last], lon[0], lon[0]);
    lat.push(closing, closing, lat[0]);
  }
  return { lon, lat };
}

/** "48.21° N, 16.37° E" */
export function coordinates({ lat, lon }) {
  const side = (value, plus, minus) => `${Math.abs(value).toFixed(2)}° ${value < 0 ? minus : plus}`;
  return `${side(lat, "N", "S")}, ${side(lon, "E", "W")}`;
}
