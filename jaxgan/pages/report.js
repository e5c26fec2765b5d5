"use strict";
// Draws the curves from the rows of the run, and moves its films; everything it shows is in the page.
const content = JSON.parse(document.getElementById("content").textContent);
const LEFT = 46, RIGHT = 8, TOP = 8, BOTTOM = 22;
const number = (value) => (Math.abs(value) >= 1e5 ? value.toExponential(3) : String(Number(value.toPrecision(4))));
const whole = (value) => value.toLocaleString("en");

function element(name, attributes, parent, text) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const key in attributes) made.setAttribute(key, attributes[key]);
  if (text !== undefined) made.textContent = text;
  parent.appendChild(made);
  return made;
}

function nice(low, high, count) {
  const rough = (high - low) / count || 1, power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((each) => each * power).find((each) => each >= rough * 0.999);
  const found = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + step * 1e-9; i++) found.push(Number((i * step).toPrecision(12)));
  return found;
}

function decades(low, high) {
  const found = [];
  for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power++)
    for (const each of high / low < 300 ? [1, 2, 5] : [1]) found.push(Number((each * 10 ** power).toPrecision(6)));
  const within = found.filter((each) => each >= low && each <= high);
  return within.filter((_, i) => i % Math.ceil(within.length / 6) === 0);
}

function short(value) {
  const size = Math.abs(value);
  if (size >= 1e6) return Number((value / 1e6).toPrecision(3)) + "M";
  if (size >= 1e3) return Number((value / 1e3).toPrecision(3)) + "k";
  return String(Number(value.toPrecision(3)));
}

function spread(chart) {
  let low = Infinity, high = -Infinity;
  for (const line of chart.lines)
    line.y.forEach((value, i) => {
      const error = line.error ? line.error[i] : 0;
      low = Math.min(low, value - error);
      high = Math.max(high, value + error);
    });
  if (chart.mark && Number.isFinite(low)) { low = Math.min(low, chart.mark.value); high = Math.max(high, chart.mark.value); }
  if (chart.limits) return chart.limits;
  if (!Number.isFinite(low)) return [0, 1];
  if (chart.log) return [low / 1.15, high * 1.15];
  const room = (high - low || Math.abs(high) || 1) * 0.06;
  return [low - room, high + room];
}

function draw(chart, place, width, height) {
  place.textContent = "";
  const svg = element("svg", { viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none" }, place);
  const end = Math.max(1, ...chart.lines.flatMap((line) => [line.x[line.x.length - 1] || 0, line.broken || 0]));
  const [low, high] = spread(chart), map = chart.log ? Math.log : (value) => value;
  const across = (x) => LEFT + (x / end) * (width - LEFT - RIGHT);
  const up = (y) => height - BOTTOM - ((map(y) - map(low)) / (map(high) - map(low))) * (height - TOP - BOTTOM);
  for (const tick of chart.log ? decades(low, high) : nice(low, high, 4)) {
    element("line", { class: "axis", x1: LEFT, x2: width - RIGHT, y1: up(tick), y2: up(tick) }, svg);
    element("text", { x: LEFT - 5, y: up(tick) + 4, "text-anchor": "end" }, svg, short(tick));
  }
  for (const tick of nice(0, end, Math.max(2, Math.floor(width / 90)))) {
    const anchor = across(tick) > width - 24 ? "end" : "middle";
    element("text", { x: across(tick), y: height - 6, "text-anchor": anchor }, svg, short(tick));
  }
  if (chart.mark)
    element("line", { class: "mark", x1: LEFT, x2: width - RIGHT, y1: up(chart.mark.value), y2: up(chart.mark.value) }, svg);
  chart.lines.forEach((line, which) => {
    const path = (values) => "M" + values.map((y, i) => `${across(line.x[i]).toFixed(1)},${up(y).toFixed(1)}`).join("L");
    if (line.error) {
      const upper = line.y.map((y, i) => `${across(line.x[i])},${up(y + line.error[i])}`);
      const lower = line.y.map((y, i) => `${across(line.x[i])},${up(y - line.error[i])}`).reverse();
      element("polygon", { class: `band band-${which}`, points: upper.concat(lower).join(" ") }, svg);
    }
    if (line.y.length) element("path", { class: `line line-${which}${line.mean ? " faint" : ""}`, d: path(line.y) }, svg);
    if (line.mean) element("path", { class: `line line-${which}`, d: path(line.mean) }, svg);
    if (line.y.length < 12)
      line.y.forEach((y, i) => element("circle", { class: `dot dot-${which}`, cx: across(line.x[i]), cy: up(y), r: 3 }, svg));
    if (line.broken !== null)
      element("line", { class: "broken", x1: across(line.broken), x2: across(line.broken), y1: TOP, y2: height - BOTTOM }, svg);
  });
  return { svg, across, up, end };
}

function nearest(values, x) {
  let low = 0, high = values.length - 1;
  while (high - low > 1) { const middle = (low + high) >> 1; if (values[middle] < x) low = middle; else high = middle; }
  return Math.abs(values[low] - x) <= Math.abs(values[high] - x) ? low : high;
}

function rows(chart, times) {
  const table = document.createElement("table"), head = table.createTHead().insertRow();
  table.createCaption().textContent = chart.title;
  for (const name of [content.time, ...chart.lines.map((line) => line.label || chart.title)]) {
    const cell = document.createElement("th");
    cell.scope = "col";
    cell.textContent = name;
    head.appendChild(cell);
  }
  const body = table.createTBody();
  for (const time of times) {
    const row = body.insertRow(), cell = document.createElement("th");
    cell.scope = "row";
    cell.textContent = whole(time);
    row.appendChild(cell);
    for (const line of chart.lines) {
      const i = line.x.indexOf(time);
      row.insertCell().textContent = i < 0 ? "" : number(line.y[i]);
    }
  }
  return table;
}

content.charts.forEach((chart, i) => {
  const place = document.getElementById(`plot-${i}`), slider = document.getElementById(`at-${i}`);
  const said = document.getElementById(`value-${i}`), times = [...new Set(chart.lines.flatMap((line) => line.x))].sort((a, b) => a - b);
  let drawn, cursor = [];
  const show = (at) => {
    const x = times[at], parts = [];
    cursor.forEach((each) => each.remove());
    cursor = [element("line", { class: "cursor", x1: drawn.across(x), x2: drawn.across(x), y1: TOP, y2: place.clientHeight - BOTTOM }, drawn.svg)];
    chart.lines.forEach((line, which) => {
      if (!line.x.length) return;
      const k = nearest(line.x, x), error = line.error ? ` ± ${number(line.error[k])}` : "";
      cursor.push(element("circle", { class: `dot dot-${which}`, cx: drawn.across(line.x[k]), cy: drawn.up(line.y[k]), r: 4 }, drawn.svg));
      parts.push(`${line.label ? line.label + " " : ""}${number(line.y[k])}${error}`);
    });
    said.textContent = `${whole(x)} ${content.time}: ${parts.join(", ")}`;
    slider.setAttribute("aria-valuetext", said.textContent);
  };
  const again = () => {
    drawn = draw(chart, place, place.clientWidth, place.clientHeight);
    if (times.length) show(Number(slider.value));
  };
  if (times.length) {
    slider.max = times.length - 1;
    slider.value = times.length - 1;
    slider.disabled = false;
  }
  again();
  new ResizeObserver(again).observe(place);
  if (!times.length) return;
  const move = (at) => { slider.value = at; show(at); };
  slider.addEventListener("input", () => move(Number(slider.value)));
  place.addEventListener("pointermove", (event) => {
    const box = place.getBoundingClientRect();
    const share = (event.clientX - box.left - LEFT) / (box.width - LEFT - RIGHT);
    move(nearest(times, Math.min(1, Math.max(0, share)) * drawn.end));
  });
  const values = place.parentElement.querySelector(".values");
  values.addEventListener("toggle", () => {
    const inside = values.querySelector("div");
    inside.className = "scroll";
    if (values.open && !inside.firstChild) inside.appendChild(rows(chart, times));
  });
});

content.films.forEach((film, i) => {
  const picture = document.getElementById(`film-${i}`), slider = document.getElementById(`move-${i}`);
  const said = document.getElementById(`said-${i}`), button = document.getElementById(`play-${i}`);
  const src = film.src.map((each) => each || picture.src);
  const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
  let timer = null;
  const show = (at) => {
    slider.value = at;
    picture.src = src[at];
    picture.alt = `${film.words}: ${film.labels[at]}`;
    said.textContent = film.labels[at];
    slider.setAttribute("aria-valuetext", film.labels[at]);
  };
  const stop = () => { clearInterval(timer); timer = null; button.textContent = "Play"; button.setAttribute("aria-label", "Play: " + film.name); };
  const play = () => {
    timer = setInterval(() => show((Number(slider.value) + 1) % src.length), calm ? 1000 : 160);
    button.textContent = "Pause";
    button.setAttribute("aria-label", "Pause: " + film.name);
  };
  slider.addEventListener("input", () => { stop(); show(Number(slider.value)); });
  button.addEventListener("click", () => (timer === null ? play() : stop()));
  button.hidden = src.length < 2;
});
