"use strict";
// The live page: runs and points come as server-sent events, figures are drawn by chart.js.
const body = document.querySelector("#runs tbody");
const chips = document.getElementById("chips");
const mode = document.getElementById("mode");
const more = document.getElementById("more");
const smooth = document.getElementById("smooth");
const state = document.getElementById("state");
const all = document.getElementById("all");
const figures = JSON.parse(document.getElementById("figures").textContent);
const maxPoints = 2000; // per curve: longer curves are thinned

let runs = [];
let recorded = []; // names of all metrics
let charts = [];
let source = null;
let due = false;
const curves = new Map(); // run → metric → {steps, values}
const hidden = new Set(); // runs

const shared = {
  view: null,
  zoom(view) {
    shared.view = view;
    all.hidden = view === null;
    draw();
  },
  draw,
};

function listen() {
  source?.close();
  const metrics = new Set(figures.flatMap((f) => f.metrics));
  source = new EventSource("events?" + [...metrics].map((m) => "metric=" + encodeURIComponent(m)).join("&"));
  source.addEventListener("open", () => { state.textContent = "live"; });
  source.addEventListener("error", () => { state.textContent = "not connected; trying again …"; });
  source.addEventListener("problem", (e) => { state.textContent = JSON.parse(e.data).text || "live"; });
  source.addEventListener("runs", (e) => {
    const news = JSON.parse(e.data);
    runs = news.runs;
    recorded = news.metrics;
    offer();
    leave(news.left);
    draw();
  });
  source.addEventListener("points", (e) => {
    const { id, metric, from, steps, values } = JSON.parse(e.data);
    if (!curves.has(id)) curves.set(id, new Map());
    const curve = curves.get(id).get(metric) || { steps: [], values: [] };
    curve.steps = curve.steps.slice(0, from).concat(steps);
    curve.values = curve.values.slice(0, from).concat(values);
    curves.get(id).set(metric, curve);
    draw();
  });
}

// offer lists the metrics that are not in any figure.
function offer() {
  const shown = new Set(figures.flatMap((f) => f.metrics));
  const names = recorded.filter((m) => !shown.has(m));
  if (names.join() === [...more.options].slice(1).map((o) => o.value).join()) return;
  more.replaceChildren(more.options[0], ...names.map((m) => new Option(m, m)));
  more.value = "";
}

// leave lists the folders that are left out.
function leave(folders) {
  const box = document.getElementById("left");
  if (box.hidden) box.open = folders.length <= 5; // show a short list at once
  box.hidden = !folders.length;
  box.querySelector("summary").textContent = folders.length === 1 ? "One folder is left out" : `${folders.length} folders are left out`;
  box.querySelector("ul").replaceChildren(...folders.map((f) => {
    const item = document.createElement("li");
    item.textContent = `${f.dir}: ${f.why}`;
    return item;
  }));
}

// An exponential moving average whose half-life is a fifteenth of the curve.
function smoothed(values) {
  if (!smooth.checked) return values;
  const keep = 0.5 ** (1 / Math.max(1, values.length / 15));
  let sum = 0, weight = 0;
  return values.map((x) => {
    if (x !== null) { sum = keep * sum + x; weight = keep * weight + 1; }
    return weight ? sum / weight : null;
  });
}

// seen returns the points of a curve to draw: the steps in view, thinned.
function seen(run, metric) {
  const curve = curves.get(run.id)?.get(metric);
  if (!curve?.steps.length) return null;
  let { steps } = curve, values = smoothed(curve.values);
  if (shared.view) {
    const from = Math.max(0, steps.findIndex((s) => s >= shared.view[0]) - 1);
    const after = steps.findIndex((s) => s > shared.view[1]);
    const to = after < 0 ? steps.length : after + 1;
    [steps, values] = [steps.slice(from, to), values.slice(from, to)];
  }
  const stride = Math.ceil(steps.length / maxPoints);
  if (stride > 1) {
    const keep = (_, i) => i % stride === 0 || i === steps.length - 1;
    [values, steps] = [values.filter(keep), steps.filter(keep)];
  }
  return { steps, values };
}

// valueAt interpolates a curve at a step; null beyond its ends and in gaps.
function valueAt({ steps, values }, x) {
  let low = 0, high = steps.length - 1;
  if (x < steps[0] || x > steps[high]) return null;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (steps[middle] <= x) low = middle; else high = middle;
  }
  if (steps[high] === x || high === low) return values[high];
  if (steps[low] === x) return values[low];
  if (values[low] === null || values[high] === null) return null;
  return values[low] + (x - steps[low]) / (steps[high] - steps[low]) * (values[high] - values[low]);
}

// mean averages several curves, with the lowest and the highest of them, over the seeds
// that have reached each step.
function mean(parts) {
  let steps = [...new Set(parts.flatMap((p) => p.steps))].sort((a, b) => a - b);
  const stride = Math.ceil(steps.length / maxPoints);
  if (stride > 1) steps = steps.filter((_, i) => i % stride === 0 || i === steps.length - 1);
  const line = { steps, values: [], low: [], high: [], seeds: [] };
  for (const x of steps) {
    const ys = parts.map((p) => valueAt(p, x)).filter((y) => y !== null);
    line.seeds.push(ys.length);
    line.values.push(ys.length ? ys.reduce((a, b) => a + b, 0) / ys.length : null);
    line.low.push(ys.length ? Math.min(...ys) : null);
    line.high.push(ys.length ? Math.max(...ys) : null);
  }
  return line;
}

// linesOf returns the curves of a figure.
function linesOf(figure) {
  const lines = [];
  let order = 0;
  for (const metric of figure.metrics) {
    const byLabel = new Map();
    for (const run of runs) {
      const curve = hidden.has(run.id) ? null : seen(run, metric);
      if (!curve) continue;
      if (!byLabel.has(run.label)) byLabel.set(run.label, []);
      byLabel.get(run.label).push({ run, curve });
    }
    for (const [label, group] of byLabel) {
      const common = { metric, order, colour: group[0].run.colour, counts: group[0].run.counts };
      if (mode.value === "mean" && group.length > 1) {
        lines.push({ ...common, key: `${label} ${metric}`, label, ...mean(group.map((g) => g.curve)) });
        continue;
      }
      for (const { run, curve } of group) lines.push({ ...common, key: `${run.id} ${metric}`, label: `${label}, seed ${run.seed}`, ...curve });
    }
    if (byLabel.size) order++;
  }
  return lines;
}

function draw() {
  if (due) return;
  due = true;
  requestAnimationFrame(() => { due = false; paint(); chip(); list(); });
}

function paint() {
  if (charts.some((c) => c.dragging)) return; // drawn when the button is released
  const place = document.getElementById("panels");
  const wanted = figures.filter((f) => f.own || f.metrics.some((m) => recorded.includes(m)));
  for (const figure of wanted) figure.chart ??= new Chart(figure, shared, figure.own ? () => remove(figure) : null);
  charts = wanted.map((f) => f.chart);
  if (charts.some((c, i) => place.children[i] !== c.node) || place.children.length !== charts.length) place.replaceChildren(...charts.map((c) => c.node));
  document.getElementById("empty").hidden = charts.length > 0;
  for (const figure of wanted) figure.chart.show(linesOf(figure));
}

function remove(figure) {
  figures.splice(figures.indexOf(figure), 1);
  offer();
  draw();
}

const swatch = (colour) => {
  const key = document.createElement("span");
  key.className = "key";
  key.style.setProperty("--c", readable(colour));
  return key;
};

// chip lists the configurations.
function chip() {
  const labels = [...new Set(runs.map((r) => r.label))];
  const wanted = labels.map((label) => {
    const own = runs.filter((r) => r.label === label);
    const off = own.every((r) => hidden.has(r.id));
    return { label, own, off, text: own.length > 1 ? `${label} · ${own.length} seeds` : label };
  });
  const now = JSON.stringify(wanted.map((w) => [w.text, w.off, readable(w.own[0].colour)]));
  if (chips.dataset.now === now) return; // keep a button that is being pressed
  chips.dataset.now = now;
  chips.replaceChildren(...wanted.map((w) => {
    const b = document.createElement("button");
    b.type = "button";
    b.className = w.off ? "off" : "";
    b.setAttribute("aria-pressed", String(!w.off));
    b.append(swatch(w.own[0].colour), w.text);
    b.addEventListener("click", () => {
      for (const r of w.own) if (w.off) hidden.delete(r.id); else hidden.add(r.id);
      draw();
    });
    return b;
  }));
}

function list() {
  const first = charts[0]?.panel.metrics ?? [];
  document.getElementById("last").textContent = first.length ? `last ${first[0]}` : "last";
  const last = (r) => first.map((m) => curves.get(r.id)?.get(m)?.values.at(-1)).find((x) => x !== undefined);
  while (body.rows.length > runs.length) body.deleteRow(-1);
  runs.forEach((r, i) => {
    const row = body.rows[i] || body.insertRow();
    if (!row.cells.length) {
      for (let n = 0; n < 5; n++) row.insertCell();
      row.cells[0].className = row.cells[1].className = "name";
    }
    row.dataset.run = r.id;
    row.className = hidden.has(r.id) ? "off" : "";
    row.cells[0].replaceChildren(swatch(r.colour), r.label);
    row.cells[1].textContent = r.name;
    row.cells[2].textContent = r.seed;
    row.cells[3].textContent = r.steps ? `${whole(r.step)} of ${whole(r.steps)}` : whole(r.step);
    row.cells[4].textContent = short(last(r));
  });
}

body.addEventListener("click", (e) => {
  const id = e.target.closest("tr").dataset.run;
  if (!hidden.delete(id)) hidden.add(id);
  draw();
});
more.addEventListener("change", () => {
  if (!more.value) return;
  figures.unshift({ title: more.value, axis: more.value, metrics: [more.value], own: true });
  offer();
  listen();
});
mode.addEventListener("change", draw);
smooth.addEventListener("change", draw);
all.addEventListener("click", () => shared.zoom(null));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  for (const c of charts) c.key = null; // redraw in the other theme's colours
  draw();
});
listen();
