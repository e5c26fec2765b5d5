"use strict";
// All that decides what is seen stands in the address, after #, in the words that the server takes after ?.
const at = (id) => document.getElementById(id);
const CORNERS = [0, 1, 2, 3];
let unknown = [];  // fields of an address that are none of these: the server is asked once, and says so
let about, busy = false, waiting = false, shown = "", z = "", address = null;

function query() {
  const found = new URLSearchParams();
  if (about.mixes) found.set("seeds", CORNERS.map((i) => at(`seed-${i}`).value || "0").join(","));
  else found.set("seeds", at("seed-0").value || "0");
  if (Number(at("x").value)) found.set("x", at("x").value);
  if (Number(at("y").value)) found.set("y", at("y").value);
  found.set("n", at("n").value);
  if (at("label").value) found.set("label", at("label").value);
  if (at("truncate").checked) found.set("psi", at("psi").value);
  about.directions.forEach((name, i) => {
    const factor = Number(at(`along-${i}`).value);
    if (factor) found.append("d", `${name}:${factor}`);
  });
  if (z) found.set("z", z);
  unknown.forEach(([name, value]) => found.append(name, value));
  return found;
}

function restore() {
  const given = new URLSearchParams(location.hash.slice(1));
  const seeds = (given.get("seeds") || "0").split(",");
  CORNERS.forEach((i) => { at(`seed-${i}`).value = seeds[i] || (Number(seeds[0]) + i) % 2 ** 32; });
  at("x").value = given.get("x") || 0;
  at("y").value = given.get("y") || 0;
  const count = given.get("n") || String(about.n);
  if (![...at("n").options].some((each) => each.value === count)) at("n").add(new Option(count, count));
  at("n").value = count;
  if (about.classes.length) {
    const wanted = given.get("label"), first = given.has("n") || about.vectors ? "" : String(about.classes[0][0]);
    const named = about.classes.find((each) => each[1] === wanted);
    const value = wanted === null ? first : named ? String(named[0]) : wanted;
    if (value && ![...at("label").options].some((each) => each.value === value)) at("label").add(new Option(value, value));
    at("label").value = value;
  }
  at("truncate").checked = given.has("psi");
  if (given.has("psi")) at("psi").value = given.get("psi");
  const moved = new Map(given.getAll("d").map((each) => [each.slice(0, each.lastIndexOf(":")), each.slice(each.lastIndexOf(":") + 1)]));
  about.directions.forEach((name, i) => { at(`along-${i}`).value = moved.get(name) || 0; });
  z = given.get("z") || "";
  unknown = [...given].filter(([name]) => !about.fields.includes(name));
}

function say(words, bad) {
  at("status").textContent = words;
  at("status").classList.toggle("bad", Boolean(bad));
}

function follow() {
  at("knob").style.left = `${Number(at("x").value) * 100}%`;
  at("knob").style.top = `${Number(at("y").value) * 100}%`;
  at("psi").disabled = !at("truncate").checked;
  at("psi-value").textContent = at("truncate").checked ? at("psi").value : "off";
  about.directions.forEach((_, i) => { at(`along-value-${i}`).textContent = at(`along-${i}`).value; });
  at("leave").hidden = !z;
  at("pad-part").hidden = !about.mixes || Boolean(z);
}

function words() {
  const label = at("label").selectedOptions[0];
  const of = about.classes.length && label ? `, ${label.value ? "class " : ""}${label.textContent}` : "";
  return `${at("n").value === "1" ? "A sample" : at("n").value + " samples"}${z ? " of the latents found" : ` of seed ${at("seed-0").value}`}${of}`;
}

// One question at a time: while one is answered, only the last of those that came since is kept.
async function look() {
  follow();
  const text = query().toString();
  unknown = [];
  history.replaceState(null, "", `#${text}`);
  if (busy) { waiting = true; return; }
  busy = true;
  const began = performance.now();
  try {
    const answer = await fetch(`picture.png?${text}`);
    if (answer.ok) {
      const made = URL.createObjectURL(await answer.blob());
      at("picture").src = made;
      at("picture").alt = words();
      at("picture").className = about.pictures && at("n").value === "1" ? "pixels" : "wide";
      if (address) URL.revokeObjectURL(address);
      address = made;
      shown = text;
      at("save").href = `picture.png?${text}`;
      at("latents").href = `latents.npz?${text}`;
      say(`${words()}, ${Math.round(performance.now() - began)} ms`);
    } else say(await answer.text(), true);
  } catch (error) { say("The program that makes the pictures does not answer; is it still running?", true); }
  busy = false;
  document.body.dataset.shown = shown;
  if (waiting) { waiting = false; look(); }
}

function corners() {
  if (!about.pictures || !about.mixes) return;
  CORNERS.forEach((i) => {
    const one = new URLSearchParams({ seeds: at(`seed-${i}`).value || "0", n: "1" });
    if (at("label").value) one.set("label", at("label").value);
    if (at("truncate").checked) one.set("psi", at("psi").value);
    const drawn = at(`corner-${i}`) || Object.assign(document.createElement("img"), { id: `corner-${i}`, alt: "" });
    drawn.src = `picture.png?${one}`;
    at("pad").prepend(drawn);
  });
}

function drag(event) {
  if (event.type === "pointermove" && !event.buttons) return;
  const box = at("pad").getBoundingClientRect(), share = (value) => Math.min(1, Math.max(0, value)).toFixed(2);
  at("x").value = share((event.clientX - box.left) / box.width);
  at("y").value = share((event.clientY - box.top) / box.height);
  look();
}

async function invert(file) {
  if (!file) return;
  at("found").className = "";
  at("found").textContent = "Looking for the latents; this takes a while.";
  const asked = new URLSearchParams();
  if (at("label").value) asked.set("label", at("label").value);
  try {
    const answer = await fetch(`invert?${asked}`, { method: "POST", body: file });
    if (!answer.ok) { at("found").className = "bad"; at("found").textContent = await answer.text(); return; }
    const found = await answer.json();
    z = found.z;
    at("n").value = "1";
    at("truncate").checked = false;
    about.directions.forEach((_, i) => { at(`along-${i}`).value = 0; });
    if (found.label !== null) at("label").value = String(found.label);
    at("found").textContent = found.words;
    look();
  } catch (error) { at("found").className = "bad"; at("found").textContent = "No answer; is the program still running?"; }
}

function build() {
  document.title = `${about.name}: explore`;
  at("name").textContent = about.name;
  for (const count of about.vectors ? [250, 1000, 4000] : [1, 8, 16, 32, 64]) at("n").add(new Option(count.toLocaleString("en"), count));
  at("label-part").hidden = !about.classes.length;
  if (about.classes.length) at("label").add(new Option("each in turn", ""));
  for (const [number, name] of about.classes) at("label").add(new Option(name, number));
  const [least, most, usual] = about.mapped ? [0, 1.5, 0.7] : [0.2, 3, 1];
  Object.assign(at("psi"), { min: least, max: most, value: usual });
  at("psi-words").textContent = about.mapped ? "The share of a style's way from the mean style: 0 is the mean, 1 all of it." : "Latents stay below so many deviations: less is more typical.";
  at("directions-part").hidden = !about.directions.length || !about.mixes;
  about.directions.forEach((name, i) => {
    const row = document.createElement("div"), label = document.createElement("label"), slider = document.createElement("input"), value = document.createElement("output");
    row.className = "along";
    Object.assign(label, { htmlFor: `along-${i}`, textContent: name });
    Object.assign(slider, { id: `along-${i}`, type: "range", min: -5, max: 5, step: 0.1, value: 0 });
    value.id = `along-value-${i}`;
    slider.addEventListener("input", look);
    row.append(label, slider, value);
    at("directions").append(row);
  });
  at("invert-part").hidden = !about.inverts;
}

function listen() {
  for (const id of ["x", "y", "n", "psi"]) at(id).addEventListener("input", look);
  for (const id of ["label", "truncate", "psi"]) at(id).addEventListener("change", () => { look(); corners(); });
  CORNERS.forEach((i) => at(`seed-${i}`).addEventListener("change", () => { z = ""; look(); corners(); }));
  at("random").addEventListener("click", () => {
    z = "";
    CORNERS.forEach((i) => { at(`seed-${i}`).value = Math.floor(Math.random() * 2 ** 32); });
    at("x").value = at("y").value = 0;
    look();
    corners();
  });
  at("pad").addEventListener("pointerdown", (event) => { at("pad").setPointerCapture(event.pointerId); drag(event); });
  at("pad").addEventListener("pointermove", drag);
  at("reset").addEventListener("click", () => { about.directions.forEach((_, i) => { at(`along-${i}`).value = 0; }); look(); });
  at("again").addEventListener("click", () => { location.hash = ""; restore(); look(); corners(); });
  at("leave").addEventListener("click", () => { z = ""; at("found").textContent = ""; look(); });
  at("file").addEventListener("change", () => invert(at("file").files[0]));
  at("link").addEventListener("click", async () => {
    try { await navigator.clipboard.writeText(location.href); say("The link is in the clipboard."); }
    catch (error) { say(`The link is the address of this page: ${location.href}`); }
  });
  for (const name of ["dragover", "dragleave", "drop"])
    document.addEventListener(name, (event) => {
      event.preventDefault();
      at("drop").classList.toggle("over", name === "dragover");
      if (name === "drop" && about.inverts) invert(event.dataTransfer.files[0]);
    });
  addEventListener("hashchange", () => { if (location.hash.slice(1) !== query().toString()) { restore(); look(); corners(); } });
}

(async () => {
  try { about = await (await fetch("about")).json(); }
  catch (error) { say("The program that makes the pictures does not answer.", true); return; }
  build();
  restore();
  listen();
  await look();
  corners();
})();
