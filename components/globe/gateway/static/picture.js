/** A photo on its way out: without metadata, and no larger than the server looks at. What is sent is what the page shows. */

export const MOST_FILE_BYTES = 80 * 2 ** 20;
/** Larger ones are scaled down here. The server scales to 1536 px, as in training; a little more leaves that to it. */
const MOST_SIDE_PX = 2048;
const SMALLER_PX = [MOST_SIDE_PX, 1536, 1024];
const QUALITY = 0.95;

/** Why a file cannot be used, in words for its owner. */
export class Unusable extends Error {}

/**
 * Make a file ready to be sent.
 *
 * @param file A File or Blob of any kind.
 * @param mostBytes The server's limit.
 * @returns {Promise<{blob: Blob, width: number, height: number, scaled: boolean}>}
 * @throws {Unusable} It is no picture that this browser can read, or too large.
 */
export async function prepare(file, mostBytes) {
  if (!file.size) throw new Unusable("This file is empty.");
  if (file.size > MOST_FILE_BYTES) {
    throw new Unusable(`This file is too large: ${megabytes(file.size)}, and ${megabytes(MOST_FILE_BYTES)} is the most.`);
  }
  const bitmap = await createImageBitmap(file).catch(() => null);
  if (!bitmap) throw new Unusable("This is not a picture that your browser can read. JPEG, PNG and WebP work.");
  try {
    const { width, height } = bitmap;
    if (Math.max(width, height) <= MOST_SIDE_PX && file.size <= mostBytes) {
      const bare = withoutMetadata(new Uint8Array(await file.arrayBuffer()));
      if (bare) return { blob: bare, width, height, scaled: false };
    }
    for (const side of SMALLER_PX) {
      const drawn = await redrawn(bitmap, side);
      if (drawn.blob.size <= mostBytes) return drawn;
    }
    throw new Unusable(`This picture is too large for the server, which takes ${megabytes(mostBytes)}.`);
  } finally {
    bitmap.close();
  }
}

async function redrawn(bitmap, side) {
  const factor = Math.min(1, side / Math.max(bitmap.width, bitmap.height));
  const [width, height] = [bitmap.width, bitmap.height].map((one) => Math.max(1, Math.round(one * factor)));
  const canvas = Object.assign(document.createElement("canvas"), { width, height });
  const context = canvas.getContext("2d");
  context.fillStyle = "white"; // behind what is transparent, since JPEG knows no transparency
  context.fillRect(0, 0, width, height);
  context.imageSmoothingQuality = "high";
  context.drawImage(bitmap, 0, 0, width, height);
  const blob = await new Promise((done) => canvas.toBlob(done, "image/jpeg", QUALITY));
  if (!blob) throw new Unusable("Your browser could not scale this picture down. A smaller one works.");
  return { blob, width, height, scaled: factor < 1 };
}

/** The same picture, pixel by pixel, without what else its file says; null if it has to be drawn anew for that. */
export function withoutMetadata(bytes) {
  const kind = [..."\x89PNG\r\n\x1a\n"].every((one, i) => bytes[i] === one.charCodeAt(0)) ? "png" : bytes[0] === 0xff && bytes[1] === 0xd8 ? "jpeg" : "";
  const parts = kind === "jpeg" ? jpegParts(bytes) : kind === "png" ? pngParts(bytes) : null;
  return parts && new Blob(parts, { type: `image/${kind}` });
}

/** A JPEG's segments without APPn and comments, up to its end; only how the picture is to be turned stays. */
function jpegParts(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const kept = [bytes.subarray(0, 2)];
  let turned = 1;
  for (let at = 2; at + 4 <= bytes.length; ) {
    if (bytes[at] !== 0xff) return null;
    const marker = bytes[at + 1];
    if (marker === 0xff) { at++; continue; }
    if (marker === 0xd9) break;
    let end = at + 2 + view.getUint16(at + 2);
    if (end > bytes.length) return null;
    const about = (marker >= 0xe0 && marker <= 0xef) || marker === 0xfe;
    if (marker === 0xe1) turned = orientation(view, at + 4, end) ?? turned;
    if (marker === 0xda) { // the pixels themselves, up to the next marker
      while (end + 1 < bytes.length && !(bytes[end] === 0xff && bytes[end + 1] !== 0 && (bytes[end + 1] & 0xf8) !== 0xd0)) end++;
    }
    if (!about || marker === 0xee) kept.push(bytes.subarray(at, end)); // Adobe's, APP14, tells how colours are stored
    at = end;
  }
  if (turned > 1) kept.splice(1, 0, turnedSegment(turned));
  return [...kept, new Uint8Array([0xff, 0xd9])];
}

/** Exif's orientation, 1 to 8; null if it does not say. */
function orientation(view, at, end) {
  try {
    if (view.getUint32(at) !== 0x45786966) return null;
    const start = at + 6;
    const little = view.getUint16(start) === 0x4949;
    const table = start + view.getUint32(start + 4, little);
    for (let i = 0; i < view.getUint16(table, little); i++) {
      const entry = table + 2 + 12 * i;
      if (entry + 12 > end) return null;
      if (view.getUint16(entry, little) !== 0x0112) continue;
      const value = view.getUint16(entry + 8, little);
      return value >= 1 && value <= 8 ? value : null;
    }
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
  }
  return null;
}

/** An Exif segment that says nothing but how to turn the picture. */
function turnedSegment(turned) {
  const tiff = [0x4d, 0x4d, 0, 42, 0, 0, 0, 8, 0, 1, 0x01, 0x12, 0, 3, 0, 0, 0, 1, 0, turned, 0, 0, 0, 0, 0, 0];
  return new Uint8Array([0xff, 0xe1, 0, tiff.length + 8, 0x45, 0x78, 0x69, 0x66, 0, 0, ...tiff]);
}

/** A PNG's chunks that hold pixels; null if one may turn it, or if it is broken. */
function pngParts(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const kept = [bytes.subarray(0, 8)];
  for (let at = 8; at + 12 <= bytes.length; ) {
    const name = String.fromCharCode(...bytes.subarray(at + 4, at + 8));
    const end = at + 12 + view.getUint32(at);
    if (end > bytes.length || name === "eXIf") return null;
    if (["IHDR", "PLTE", "tRNS", "IDAT", "IEND"].includes(name)) kept.push(bytes.subarray(at, end));
    if (name === "IEND") return kept;
    at = end;
  }
  return null;
}

export function megabytes(bytes) {
  return bytes < 950_000 ? `${Math.max(1, Math.round(bytes / 1e3))} kB` : `${(bytes / 1e6).toFixed(bytes < 9.5e6 ? 1 : 0)} MB`;
}
