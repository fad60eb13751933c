/** The page: from a photo to a place on the map. A model's text is untrusted: it is only ever set as text. */

import { MOST_REASONING, Trouble, ask } from "./ask.js";
import { distanceKm, heightOf, wrapped } from "./geo.js";
import { History } from "./history.js";
import { WorldMap } from "./map.js";
import { MOST_FILE_BYTES, Unusable, megabytes, prepare } from "./picture.js";
import { Places, drawBackdrop } from "./places.js";
import { showAnswer, showMeasured } from "./show.js";
import { clean, placeName, troubleWords, typedPlace } from "./words.js";
import { loadWorld } from "./world.js";

const $ = (id) => document.getElementById(id);
const settings = document.body.dataset;
const TRIES = Number(settings.samples);
const KEY = "globe-key";
const MOST_RETRIES = 4;
const narrow = matchMedia("(max-width: 920px)");
const still = matchMedia("(prefers-reduced-motion: reduce)");

const state = { run: 0, abort: null, photo: null, answer: null, key: sessionStorage.getItem(KEY) ?? "", timer: 0, retries: 0, url: "", entry: null };
const places = new Places($("overlay"));
export const map = new WorldMap($("map"), { picked: (place) => setTruth(place), moved: (shown) => places.draw(shown) });
const CONTROLS_PX = [70, 215];
map.reserved = () => [...places.reserved(map), [map.width - CONTROLS_PX[0], 0, map.width, CONTROLS_PX[1]]];
const history = new History($("history"), $("history-list"), reopen);

loadWorld("static/world.json").then(
  (world) => {
    map.setWorld(world);
    const project = (ring, i, scale, width, height) => [
      width * 0.62 + (ring.lon[i] - 20) * ring.width[i] * scale, height * 0.5 - (ring.height[i] - heightOf(22)) * scale];
    const backdrop = () => drawBackdrop($("backdrop"), world, { project, colour: getComputedStyle(document.body).getPropertyValue("--band-dot") });
    backdrop();
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", backdrop);
    let later = 0;
    addEventListener("resize", () => { clearTimeout(later); later = setTimeout(backdrop, 200); });
  },
  () => { $("unmapped").hidden = false; },
);

/** Say something to those who listen to the page; the last word counts. */
function say(text) {
  $("said").textContent = text;
}

// The photo: chosen, taken, dropped or pasted.

for (const [button, input] of [["choose", "file"], ["camera", "shot"]]) {
  $(button).addEventListener("click", () => $(input).click());
  $(input).addEventListener("change", () => {
    const [file] = $(input).files;
    $(input).value = ""; // so that the same file can be chosen again
    if (file) take(file);
  });
}
let over = 0;
addEventListener("dragenter", (event) => { event.preventDefault(); over++; $("drop").classList.add("over"); });
addEventListener("dragleave", () => { over = Math.max(0, over - 1); $("drop").classList.toggle("over", over > 0); });
addEventListener("dragover", (event) => { event.preventDefault(); event.dataTransfer.dropEffect = "copy"; });
addEventListener("drop", (event) => {
  event.preventDefault();
  over = 0;
  $("drop").classList.remove("over");
  takeFirst(event.dataTransfer, "What was dropped is not a picture's file. Save it first, then drop the file.");
});
addEventListener("paste", (event) => {
  if (event.target.closest?.("input")) return;
  takeFirst(event.clipboardData, "What was pasted is not a picture. Copy the picture itself, not its address.");
});

function takeFirst(data, otherwise) {
  const file = [...(data?.files ?? [])].find((one) => one.type.startsWith("image/")) ?? data?.files?.[0];
  if (file) take(file);
  else trouble(otherwise);
}

/** A new photo, whatever is under way with another one. */
async function take(file) {
  const run = start();
  working("Reading the photo …");
  $("key-form").hidden = !needsKey();
  try {
    const photo = await prepare(file, Number(settings.maxBytes));
    if (run !== state.run) return;
    Object.assign(state, { photo, answer: null, entry: null });
    showPhoto(photo);
    setTruth(null);
  } catch (error) {
    if (run !== state.run) return;
    if (!(error instanceof Unusable)) throw error;
    idle();
    showAnswer(state.answer);
    trouble(error.message);
    return;
  }
  question(run);
}

function showPhoto({ blob, width, height, scaled }) {
  URL.revokeObjectURL(state.url);
  state.url = URL.createObjectURL(blob);
  $("photo").src = state.url;
  $("drop").querySelector(".empty").hidden = true;
  $("drop").querySelector(".chosen").hidden = false;
  $("sent").textContent = `Sent: ${width} × ${height} pixels, ${megabytes(blob.size)}, without metadata${scaled ? ", scaled down" : ""}.`;
  $("choose").textContent = "Another photo";
}

// The question and its answer.

/** End what is under way and begin anew; the number tells whether one is still wanted. */
function start() {
  state.abort?.abort();
  clearTimeout(state.timer);
  $("trouble").hidden = true;
  state.retries = 0;
  return ++state.run;
}

async function question(run) {
  if (needsKey()) return wantKey(false);
  state.abort = new AbortController();
  const { signal } = state.abort;
  const { photo } = state;
  Object.assign(state, { answer: null, entry: null });
  places.show({}, "");
  map.draw();
  showAnswer(null, true);
  map.home();
  const thoughts = new Thoughts();
  working(TRIES > 1 ? `Asking the model ${TRIES} times …` : "Asking the model …", 0);
  say("The model is looking at the photo.");
  try {
    const answer = await ask(photo.blob, {
      n: TRIES, key: state.key, signal,
      reasoning: (text) => run === state.run && thoughts.add(text),
      progress: ({ answered, n }) => run === state.run && working(`${answered} of ${n} tries are in`, answered),
    });
    if (run === state.run) arrived(answer, thoughts);
  } catch (error) {
    if (run !== state.run || signal.aborted) return;
    if (!(error instanceof Trouble)) throw error;
    thoughts.end();
    showAnswer(null);
    failed(error);
  }
}

function arrived(answer, thoughts) {
  thoughts.end(answer.reasoning);
  state.entry = history.add({ answer, photo: state.photo, reasoning: thoughts.text, truth: places.truth });
  display(answer);
  say(`${$("place").textContent}. ${$("sureness").textContent} ${$("remarks").textContent}`);
  if (narrow.matches) {
    $("thoughts").open = false;
    $("answer").scrollIntoView({ behavior: still.matches ? "auto" : "smooth", block: "start" });
  }
}

/** Show an answer in words and on the map. */
function display(answer) {
  idle();
  state.answer = answer;
  places.show(answer, placeName(answer));
  showAnswer(answer, false, (place) => map.fit([places.guess, place], 300));
  if (places.guess) map.fit([places.guess], places.around(answer));
  else map.home();
  measure();
}

/** The reasoning as it comes, drawn once a frame. */
class Thoughts {
  constructor() {
    this.text = "";
    this.waiting = false;
    this.node = document.createTextNode("");
    $("reasoning").replaceChildren(this.node);
    $("thoughts").hidden = true;
    $("thoughts").open = true;
    $("thoughts").classList.add("streaming");
    $("whose").hidden = true;
    $("shortened").hidden = true;
  }

  add(text) {
    if (this.text.length >= MOST_REASONING) return;
    this.text += clean(text);
    if (this.text.length > MOST_REASONING) this.text = `${this.text.slice(0, MOST_REASONING)} …`;
    if (this.waiting) return;
    this.waiting = true;
    setTimeout(() => this.draw(), 60);
  }

  draw() {
    this.waiting = false;
    if (!this.node.isConnected) return;
    this.node.data = this.text.trimStart();
    $("thoughts").hidden = !this.node.data;
    const box = $("reasoning");
    if ($("thoughts").classList.contains("streaming")) box.scrollTop = box.scrollHeight;
  }

  /** @param whole What the answer says: it may be coarser than what came before, and then counts. */
  end(whole) {
    if (typeof whole === "string") {
      this.text = "";
      this.add(whole);
    }
    this.draw();
    $("thoughts").classList.remove("streaming");
    $("whose").hidden = !this.text;
  }
}

// What is going on, and what goes wrong.

function working(text, answered) {
  $("busy").hidden = false;
  $("busy-said").textContent = text;
  $("again").hidden = true;
  $("pips").replaceChildren(...Array.from({ length: answered === undefined ? 1 : TRIES }, (_, i) => {
    const pip = document.createElement("i");
    pip.className = i < (answered ?? 0) ? "in" : i === (answered ?? 0) ? "now" : "";
    return pip;
  }));
}

function idle() {
  const held = document.activeElement === $("cancel"); // a button that goes takes no one's focus with it
  $("busy").hidden = true;
  $("again").hidden = !state.photo;
  if (held) $("answer").focus({ preventScroll: true });
}

/** Show what went wrong, and a way on. */
function trouble(words, { passing = false, again = false } = {}) {
  $("trouble").hidden = false;
  $("trouble").classList.toggle("passing", passing);
  $("trouble-said").textContent = words;
  $("trouble-wait").hidden = true;
  $("give-up").hidden = true;
  $("retry").hidden = !again;
  $("retry").textContent = "Try again";
}

function failed(error) {
  idle();
  if (error.kind === 401) return wantKey(Boolean(state.key));
  const { words, passing } = troubleWords(error, Boolean(state.key));
  const hopeless = [403, 404, 413, 415, 422].includes(error.kind);
  $("again").hidden = true;
  trouble(words, { passing, again: !hopeless });
  if (passing && state.retries < MOST_RETRIES) countDown(Math.max(1, Math.ceil(error.retryAfterS || 5)));
}

/** Ask again by itself when the server says that it makes sense. */
function countDown(seconds) {
  const run = state.run;
  state.retries++;
  $("give-up").hidden = false;
  $("retry").textContent = "Try now";
  const tick = (left) => {
    if (run !== state.run) return;
    if (left <= 0) return retry();
    $("trouble-wait").hidden = false;
    $("trouble-wait").textContent = `Trying again in ${left} s.`;
    state.timer = setTimeout(tick, 1000, left - 1);
  };
  tick(seconds);
}

function retry() {
  const { retries } = state;
  const run = start();
  state.retries = retries;
  question(run);
}

$("retry").addEventListener("click", retry);
$("again").addEventListener("click", () => question(start()));
for (const button of ["cancel", "give-up"]) {
  $(button).addEventListener("click", () => {
    start();
    $("thoughts").classList.remove("streaming");
    idle();
    showAnswer(null);
    say("Stopped.");
    ($("again").hidden ? $("choose") : $("again")).focus();
  });
}

// The key.

const needsKey = () => Boolean(settings.key) && !state.key;

function wantKey(refused) {
  idle();
  $("again").hidden = true;
  $("key-form").hidden = false;
  $("key-why").textContent = refused
    ? "The server does not know this key, or it has expired. Check it, or ask for another one."
    : "This server answers only those who have a key. Whoever runs it gives you one.";
  $("key").setAttribute("aria-invalid", String(refused));
  say($("key-why").textContent);
  $("key").focus();
}

$("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  state.key = $("key").value.trim();
  if (!/^[\x21-\x7e]+$/.test(state.key)) return wantKey(true);
  if ($("key-kept").checked) sessionStorage.setItem(KEY, state.key);
  else sessionStorage.removeItem(KEY);
  $("key").value = "";
  $("key-form").hidden = true;
  if (state.photo) question(start());
  else $("choose").focus();
});

// Where it really was.

function setTruth(place) {
  places.truth = place;
  $("truth-gone").hidden = !place;
  $("truth-wrong").textContent = "";
  $("truth").setAttribute("aria-invalid", "false");
  $("truth").value = place ? `${place.lat.toFixed(3)}, ${wrapped(place.lon).toFixed(3)}` : "";
  map.draw();
  measure(true);
}

function measure(spoken = false) {
  const said = showMeasured(state.answer, places, distanceKm);
  if (state.entry) history.measured(state.entry, places);
  if (spoken && said) say(said);
}

$("truth-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const place = typedPlace($("truth").value);
  if (!place) {
    $("truth-wrong").textContent = "Give latitude and longitude in degrees, such as 48.21, 16.37 or 33.87 S, 151.21 E.";
    $("truth").setAttribute("aria-invalid", "true");
    $("truth").focus();
    return;
  }
  setTruth(place);
  map.fit([places.guess ?? place, place], 300);
});
$("truth-gone").addEventListener("click", () => {
  setTruth(null);
  $("truth").focus();
});

// The map's buttons, and photos of before.

$("zoom-in").addEventListener("click", () => map.zoom(1.7));
$("zoom-out").addEventListener("click", () => map.zoom(1 / 1.7));
$("whole").addEventListener("click", () => map.home());
$("to-guess").addEventListener("click", () => places.guess && map.fit([places.guess], places.around(state.answer)));

/** Show an earlier photo and its answer again; what is under way ends. */
function reopen(entry) {
  start();
  Object.assign(state, { photo: entry.photo, entry });
  showPhoto(entry.photo);
  new Thoughts().end(entry.reasoning);
  display(entry.answer);
  setTruth(entry.truth);
  $("answer").scrollIntoView({ behavior: "auto", block: "nearest" });
  $("answer").focus({ preventScroll: true });
}

if (settings.precision !== "city") {
  $("restricted").hidden = false;
  $("restricted").textContent = settings.precision === "country" ? "This server names countries, and nothing finer." : "This server names regions, and nothing finer.";
}
$("key-form").hidden = !needsKey();
$("kept").title = `Files up to ${megabytes(MOST_FILE_BYTES)}`;
