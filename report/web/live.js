"use strict";
// Curves of runs that grow as server-sent events come. No library, no build step.
const chart = document.getElementById("chart");
const body = document.querySelector("#runs tbody");
const choice = document.getElementById("metric");
const smooth = document.getElementById("smooth");
const state = document.getElementById("state");
const readout = document.getElementById("at");
const margin = { left: 64, right: 14, top: 12, bottom: 34 };
let runs = [];
let curves = new Map(); // run → {steps, values}
let hidden = new Set();
let hovered = null;
let source = null;
let due = false;
let scale = null;

function listen(metric) {
  if (source) source.close();
  curves = new Map();
  source = new EventSource("events?metric=" + encodeURIComponent(metric));
  source.addEventListener("open", () => { state.textContent = "live"; });
  source.addEventListener("error", () => { state.textContent = "not connected; trying again …"; });
  source.addEventListener("problem", (e) => { state.textContent = JSON.parse(e.data).text; });
  source.addEventListener("runs", (e) => {
    const news = JSON.parse(e.data);
    runs = news.runs;
    offer(news.metrics, news.metric);
    draw();
  });
  source.addEventListener("points", (e) => {
    const { id, from, steps, values } = JSON.parse(e.data);
    const curve = curves.get(id) || { steps: [], values: [] };
    curve.steps = curve.steps.slice(0, from).concat(steps);
    curve.values = curve.values.slice(0, from).concat(values);
    curves.set(id, curve);
    draw();
  });
}

function offer(metrics, current) {
  const all = metrics.includes(current) ? metrics : [current, ...metrics];
  if (all.join() === [...choice.options].map((o) => o.value).join()) return;
  choice.replaceChildren(...all.map((m) => new Option(m, m, m === current, m === current)));
}

const svg = (name, attributes, text) => {
  const node = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  if (text !== undefined) node.textContent = text;
  return node;
};

const short = (x) => x === null || x === undefined ? "–"
  : Math.abs(x) >= 1e6 || (x !== 0 && Math.abs(x) < 1e-3) ? x.toExponential(2)
  : Number(x.toPrecision(4)).toLocaleString("en");

function ticks(low, high, count) {
  const rough = (high - low) / count || 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= rough);
  const all = [];
  for (let x = Math.ceil(low / step) * step; x <= high + step * 1e-9; x += step) all.push(Math.abs(x) < step / 1e6 ? 0 : x);
  return all;
}

// A running mean that forgets: what is left of the past halves with each fifteenth of it.
function smoothed(values) {
  if (!smooth.checked) return values;
  const keep = 0.5 ** (1 / Math.max(1, values.length / 15));
  let sum = 0, weight = 0;
  return values.map((x) => {
    if (x !== null) { sum = keep * sum + x; weight = keep * weight + 1; }
    return weight ? sum / weight : null;
  });
}

function draw() {
  if (due) return;
  due = true;
  requestAnimationFrame(() => { due = false; paint(); list(); });
}

function paint() {
  const box = chart.getBoundingClientRect();
  chart.setAttribute("viewBox", `0 0 ${box.width} ${box.height}`);
  const shown = runs.filter((r) => !hidden.has(r.id) && curves.has(r.id)).map((r) => {
    const c = curves.get(r.id);
    return { run: r, steps: c.steps, values: smoothed(c.values) };
  });
  const ys = shown.flatMap((s) => s.values).filter((y) => y !== null);
  let right = 1, low = Infinity, high = -Infinity;
  for (const s of shown) right = Math.max(right, s.steps[s.steps.length - 1]);
  for (const y of ys) { low = Math.min(low, y); high = Math.max(high, y); }
  if (!ys.length) { low = 0; high = 1; }
  if (low === high) { low -= 1; high += 1; }
  const pad = 0.04 * (high - low);
  low -= pad; high += pad;
  const x = (v) => margin.left + v / right * (box.width - margin.left - margin.right);
  const y = (v) => box.height - margin.bottom - (v - low) / (high - low) * (box.height - margin.top - margin.bottom);
  scale = { x, y, right, shown, box };
  const nodes = [];
  for (const t of ticks(low, high, 6)) {
    nodes.push(svg("line", { class: "grid", x1: margin.left, x2: box.width - margin.right, y1: y(t), y2: y(t) }));
    nodes.push(svg("text", { x: margin.left - 8, y: y(t) + 4, "text-anchor": "end" }, short(t)));
  }
  for (const t of ticks(0, right, Math.max(2, box.width / 160))) {
    nodes.push(svg("line", { class: "grid", x1: x(t), x2: x(t), y1: margin.top, y2: box.height - margin.bottom }));
    nodes.push(svg("text", { x: x(t), y: box.height - 12, "text-anchor": "middle" }, short(t)));
  }
  for (const s of shown) {
    let path = "", pen = "M";
    s.steps.forEach((step, i) => {
      if (s.values[i] === null) { pen = "M"; return; }
      path += `${pen}${x(step).toFixed(1)} ${y(s.values[i]).toFixed(1)}`;
      pen = "L";
    });
    const dim = hovered && hovered !== s.run.id ? " dim" : "";
    const line = svg("path", { class: "curve" + dim, d: path, stroke: s.run.colour, "data-run": s.run.name });
    line.append(svg("title", {}, `${s.run.label}, seed ${s.run.seed}`));
    nodes.push(line);
  }
  chart.replaceChildren(...nodes);
}

function list() {
  const last = (r) => { const c = curves.get(r.id); return c ? c.values[c.values.length - 1] : null; };
  while (body.rows.length > runs.length) body.deleteRow(-1);
  runs.forEach((r, i) => {
    const row = body.rows[i] || body.insertRow();
    if (!row.cells.length) {
      for (let n = 0; n < 5; n++) row.insertCell();
      row.cells[0].className = row.cells[1].className = "name";
    }
    row.dataset.run = r.id;
    row.className = hidden.has(r.id) ? "off" : "";
    const key = document.createElement("span");
    key.className = "key";
    key.style.setProperty("--c", r.colour);
    row.cells[0].replaceChildren(key, `${r.label}`);
    row.cells[1].textContent = r.name;
    row.cells[2].textContent = r.seed;
    row.cells[3].textContent = `${r.step.toLocaleString("en")} of ${r.steps.toLocaleString("en")}`;
    row.cells[4].textContent = short(last(r));
  });
}

body.addEventListener("click", (e) => {
  const id = e.target.closest("tr").dataset.run;
  if (!hidden.delete(id)) hidden.add(id);
  draw();
});
body.addEventListener("pointerover", (e) => { const row = e.target.closest("tr"); hovered = row && row.dataset.run; draw(); });
body.addEventListener("pointerleave", () => { hovered = null; draw(); });

chart.addEventListener("pointermove", (e) => {
  if (!scale) return;
  const px = e.clientX - scale.box.left, py = e.clientY - scale.box.top;
  let best = null, nearest = 40 * 40;
  for (const s of scale.shown) {
    s.steps.forEach((step, i) => {
      if (s.values[i] === null) return;
      const d = (scale.x(step) - px) ** 2 + (scale.y(s.values[i]) - py) ** 2;
      if (d < nearest) { nearest = d; best = `${s.run.label}, seed ${s.run.seed}: ${short(s.values[i])} at step ${step.toLocaleString("en")}`; }
    });
  }
  readout.textContent = best || "\u00a0";
});

choice.addEventListener("change", () => listen(choice.value));
smooth.addEventListener("change", draw);
addEventListener("resize", draw);
listen(choice.value);
