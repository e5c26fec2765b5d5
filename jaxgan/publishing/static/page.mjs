// The page: reads the controls, draws latents, runs the generator by onnxruntime, and paints what it makes.
import { between, foldIn, keyOf, latent, normal, uniform } from "./draws.mjs";

const about = JSON.parse(document.getElementById("about").textContent);
const [height, width, channels] = about.shape;
const at = (id) => document.getElementById(id);
const status = at("status");
let session, runtime;
let last = Promise.resolve();

const say = (words) => { status.textContent = words; };

async function start() {
  runtime = await import(`./runtime/${about.runtime}`);
  runtime.env.wasm.wasmPaths = new URL("./runtime/", location.href).href;
  runtime.env.wasm.numThreads = 1;
  session = await runtime.InferenceSession.create("model.onnx", { executionProviders: ["wasm"] });
}

// Noise inside the generator, where it has some: by numbers of this page's own, the same for the same seed.
function noise(seed, count) {
  const made = {};
  about.noise.forEach(({ name, kind, shape }, place) => {
    const sides = shape.map((side) => (side === "B" ? count : side));
    const size = sides.reduce((product, side) => product * side, 1);
    const numbers = (kind === "normal" ? normal : uniform)(foldIn(foldIn(keyOf(seed), 0xffffffff), place), size);
    made[name] = new runtime.Tensor("float32", numbers, sides);
  });
  return made;
}

// Latents and places of classes to pixels of red, green, blue and alpha, one array a picture.
async function pictures(latents, classes, seed) {
  const count = latents.length;
  const z = new Float32Array(count * about.latentLength);
  latents.forEach((each, i) => z.set(each, i * about.latentLength));
  const inputs = { z: new runtime.Tensor("float32", z, [count, about.latentLength]), ...noise(seed, count) };
  if (about.classes.length) inputs.labels = new runtime.Tensor("int32", Int32Array.from(classes), [count]);
  const taken = Object.fromEntries(Object.entries(inputs).filter(([name]) => session.inputNames.includes(name)));
  const { images } = await session.run(taken);
  const size = height * width * channels;
  return latents.map((_, i) => painted(images.data.subarray(i * size, (i + 1) * size)));
}

function painted(values) {
  const pixels = new Uint8ClampedArray(4 * height * width).fill(255);
  const grey = channels < 3;
  for (let i = 0; i < height * width; i++) {
    for (let c = 0; c < (grey ? 3 : channels); c++) {
      const from = grey ? 0 : c;
      const low = about.low[from % about.low.length], high = about.high[from % about.high.length];
      pixels[4 * i + c] = (255 * (Number(values[i * channels + from]) - low)) / (high - low);
    }
  }
  return new ImageData(pixels, width, height);
}

function show(canvas, images, columns, words) {
  const gap = columns > 1 ? 1 : 0;
  const rows = Math.ceil(images.length / columns);
  canvas.width = columns * (width + gap) - gap;
  canvas.height = rows * (height + gap) - gap;
  const scale = Math.max(1, Math.floor((columns > 1 ? 900 : 256) / canvas.width));
  canvas.style.width = `${canvas.width * scale}px`;
  const context = canvas.getContext("2d");
  images.forEach((image, i) => context.putImageData(image, (i % columns) * (width + gap), Math.floor(i / columns) * (height + gap)));
  canvas.setAttribute("aria-label", words);
}

const names = (places) => [...new Set(places.map((place) => about.classes[place]))].join(", ");

async function draw() {
  const seed = at("seed").valueAsNumber, count = at("count").valueAsNumber, chosen = at("class").value;
  const indices = Array.from({ length: count }, (_, i) => i);
  const classes = indices.map((i) => (chosen === "" ? i % Math.max(1, about.classes.length) : Number(chosen)));
  const began = performance.now();
  const images = await pictures(indices.map((i) => latent(about.latent, seed, i, about.latentLength)), classes, seed);
  const turns = chosen === "" && about.classes.length > 1 && about.classes.length <= count ? about.classes.length : 0;
  const columns = turns && turns <= 16 ? turns : Math.ceil(Math.sqrt(count));
  const of = about.classes.length ? `, classes ${names(classes)}` : "";
  show(at("pictures"), images, columns, `${count} pictures of seed ${seed}${of}`);
  at("caption").textContent = `Seed ${seed}, pictures 0 to ${count - 1}${of}`;
  document.body.dataset.drawn = String(1 + Number(document.body.dataset.drawn ?? 0));
  say(`${count} pictures in ${Math.round(performance.now() - began)} ms.`);
}

async function walk() {
  const t = at("share").valueAsNumber / 100;
  const from = at("from").valueAsNumber, to = at("to").valueAsNumber, place = Number(at("of").value || 0);
  at("at").value = `${at("share").value} %`;
  const z = between(latent(about.latent, from, 0, about.latentLength), latent(about.latent, to, 0, about.latentLength), t);
  const images = await pictures([z], [place], from);
  const of = about.classes.length ? `, class ${about.classes[place]}` : "";
  show(at("between"), images, 1, `Picture ${at("share").value} percent of the way from seed ${from} to seed ${to}${of}`);
  document.body.dataset.walked = String(1 + Number(document.body.dataset.walked ?? 0));
}

// A picture of a seed, moved along the directions that the sliders tell, in deviations.
async function turn() {
  const seed = at("turn-seed").valueAsNumber, place = Number(at("turn-class").value || 0);
  const z = Float32Array.from(latent(about.latent, seed, 0, about.latentLength));
  const moves = about.directions.map(({ name, vector }, i) => {
    const step = at(`direction-${i}`).valueAsNumber;
    at(`step-${i}`).value = step.toFixed(1);
    vector.forEach((each, j) => { z[j] += step * each; });
    return step ? `${name} by ${step.toFixed(1)}` : "";
  });
  const images = await pictures([z], [place], seed);
  const of = about.classes.length ? `, class ${about.classes[place]}` : "";
  show(at("moved"), images, 1, `Picture of seed ${seed}${of}, moved along ${moves.filter(Boolean).join(", ") || "nothing"}`);
  document.body.dataset.turned = String(1 + Number(document.body.dataset.turned ?? 0));
}

function addSlider({ name }, i) {
  const row = document.createElement("p"), label = document.createElement("label"), slider = document.createElement("input");
  const step = document.createElement("output");
  row.className = "wide";
  Object.assign(slider, { id: `direction-${i}`, type: "range", min: "-3", max: "3", step: "0.1", defaultValue: "0" });
  Object.assign(step, { id: `step-${i}`, value: "0.0" });
  label.htmlFor = slider.id;
  label.append(`${name}: `, step, " deviations");
  row.append(label, slider);
  at("sliders").append(row);
}

// One run at a time: a session takes no second before the first is done. Of moves that come meanwhile the last counts.
const waiting = new Map();
function queue(work, form) {
  if (!form.reportValidity() || !session) return;
  const first = !waiting.has(form);
  waiting.set(form, work);
  if (!first) return;
  last = last.then(() => { const next = waiting.get(form); waiting.delete(form); return next(); })
    .catch((error) => { say(`It failed: ${error.message}`); console.error(error); });
}

function save(canvas, name) {
  canvas.toBlob((blob) => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(blob);
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  });
}

for (const each of document.querySelectorAll(".classes")) each.hidden = !about.classes.length;
about.classes.forEach((name, place) => ["class", "of", "turn-class"].forEach((id) => at(id).add(new Option(name, place))));
at("draw").addEventListener("submit", (event) => { event.preventDefault(); queue(draw, at("draw")); });
at("class").addEventListener("change", () => queue(draw, at("draw")));
at("next").addEventListener("click", () => { at("seed").value = (at("seed").valueAsNumber + 1) % 2 ** 32; queue(draw, at("draw")); });
at("save").addEventListener("click", () => save(at("pictures"), `seed-${at("seed").value}.png`));
at("keep").addEventListener("click", () => save(at("between"), `seeds-${at("from").value}-${at("to").value}-${at("share").value}.png`));
at("walk").addEventListener("submit", (event) => { event.preventDefault(); queue(walk, at("walk")); });
at("walk").addEventListener("input", () => queue(walk, at("walk")));
at("turning").hidden = !about.directions.length;
about.directions.forEach(addSlider);
at("turn").addEventListener("submit", (event) => { event.preventDefault(); queue(turn, at("turn")); });
at("turn").addEventListener("input", () => queue(turn, at("turn")));
at("turn").addEventListener("reset", () => setTimeout(() => queue(turn, at("turn"))));
at("keep-turned").addEventListener("click", () => save(at("moved"), `seed-${at("turn-seed").value}-moved.png`));

try {
  await start();
  queue(draw, at("draw"));
  queue(walk, at("walk"));
  if (about.directions.length) queue(turn, at("turn"));
} catch (error) {
  say(`The generator did not load: ${error.message}`);
  console.error(error);
}
