"use strict";
// A Chart is one figure of the live page: curves drawn by uPlot, and a box with their
// values under the pointer. All charts show the same range of steps.

// short writes a value with about four digits.
const short = (x) => x === null || x === undefined ? "–"
  : Math.abs(x) >= 1e6 || (x !== 0 && Math.abs(x) < 1e-3) ? x.toExponential(2)
  : Number(x.toPrecision(4)).toLocaleString("en");

const whole = (x) => Math.round(x).toLocaleString("en");
const compact = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 3 });

// tickLabels uses the fewest digits that distinguish neighbouring ticks.
function tickLabels(ticks) {
  const step = ticks.length > 1 ? Math.abs(ticks[1] - ticks[0]) : Math.abs(ticks[0]) || 1;
  const most = Math.max(...ticks.map(Math.abs));
  let digits = 0;
  while (digits < 5 && Math.abs(step * 10 ** digits - Math.round(step * 10 ** digits)) > 1e-6 * 10 ** digits * step) digits++;
  if (digits > 4 || most >= 1e9) return ticks.map((t) => t === 0 ? "0" : t.toExponential(Math.min(9, Math.max(0, Math.ceil(Math.log10(most / step))))));
  if (most >= 1e4 && step >= most / 1000) return ticks.map((t) => compact.format(t));
  return ticks.map((t) => t.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits }));
}

const dashes = [[], [7, 5], [2, 4], [10, 4, 2, 4]];

// readable lightens colours that are hard to see on a dark page.
function readable(colour) {
  if (!matchMedia("(prefers-color-scheme: dark)").matches) return colour;
  const part = [1, 3, 5].map((i) => parseInt(colour.slice(i, i + 2), 16));
  const light = (0.3 * part[0] + 0.59 * part[1] + 0.11 * part[2]) / 255;
  if (light > 0.35) return colour;
  return "#" + part.map((p) => Math.round(p + (255 - p) * 0.55).toString(16).padStart(2, "0")).join("");
}

class Chart {
  // shared has view, [from, to] or null, and zoom(view); remove is set for figures that
  // the user added.
  constructor(panel, shared, remove) {
    this.panel = panel;
    this.shared = shared;
    this.node = document.createElement("figure");
    this.node.className = "panel";
    this.node.dataset.title = panel.title;
    const head = document.createElement("figcaption");
    this.legend = document.createElement("span");
    this.legend.className = "legend";
    const title = document.createElement("b");
    title.textContent = panel.title;
    head.append(title, this.legend, this.button("enlarge", () => {
      this.node.classList.toggle("large");
      this.resize();
    }));
    if (remove) head.append(this.button("remove", remove));
    this.plot = document.createElement("div");
    this.plot.className = "plot";
    this.tip = document.createElement("div");
    this.tip.className = "tip";
    this.tip.hidden = true;
    this.node.append(head, this.plot);
    this.inside = false;
    this.dragging = false;
    new ResizeObserver(() => this.resize()).observe(this.plot);
  }

  button(text, action) {
    const b = document.createElement("button");
    b.type = "button";
    b.textContent = text;
    b.addEventListener("click", action);
    return b;
  }

  resize() {
    const { clientWidth: width, clientHeight: height } = this.plot;
    if (this.u && width && (width !== this.u.width || height !== this.u.height)) this.u.setSize({ width, height });
  }

  // show draws lines: {key, label, counts, metric, order, colour, steps, values, low, high,
  // seeds}. counts is the unit of its steps, order the index of the metric in the figure;
  // low, high and seeds are set for means.
  show(lines) {
    this.lines = lines;
    this.counts = [...new Set(lines.map((l) => l.counts))].join(" or ") || "steps";
    let row = 1; // index into data()
    for (const l of lines) {
      l.series = row + (l.low ? 2 : 0);
      row = l.series + 1;
    }
    const present = [...new Map(lines.map((l) => [l.metric, l.order]))];
    this.legend.replaceChildren(...present.map(([metric, order]) => {
      const span = document.createElement("span");
      span.className = `metric dash${order}`;
      span.textContent = metric;
      return span;
    }));
    this.node.dataset.lines = lines.length;
    this.node.dataset.points = lines.length ? Math.max(...lines.map((l) => l.steps.length)) : 0;
    const key = this.counts + lines.map((l) => l.key + l.colour + (l.low ? "band" : "")).join("\n");
    if (key === this.key) {
      this.u.setData(this.data());
    } else {
      this.key = key;
      this.build();
    }
  }

  // data aligns all lines on the union of their steps. Missing values are undefined, and
  // uPlot connects the points around them.
  data() {
    const steps = [...new Set(this.lines.flatMap((l) => l.steps))].sort((a, b) => a - b);
    const place = new Map(steps.map((s, i) => [s, i]));
    const spread = (line, values) => {
      const row = new Array(steps.length).fill(undefined);
      line.steps.forEach((s, i) => { row[place.get(s)] = values[i]; });
      return row;
    };
    const rows = [steps];
    for (const l of this.lines) {
      if (l.low) rows.push(spread(l, l.low), spread(l, l.high));
      rows.push(spread(l, l.values));
    }
    return rows;
  }

  build() {
    this.u?.destroy();
    const style = getComputedStyle(document.documentElement);
    const [ink, faint] = ["--soft", "--line"].map((name) => style.getPropertyValue(name).trim());
    const series = [{}], bands = [];
    for (const l of this.lines) {
      const colour = readable(l.colour);
      if (l.low) {
        const edge = { width: 0, points: { show: false }, spanGaps: false };
        bands.push({ series: [series.length + 1, series.length], fill: colour + "30" });
        series.push({ ...edge }, { ...edge });
      }
      series.push({ stroke: colour, width: l.order ? 1.3 : 1.8, dash: dashes[l.order % dashes.length], points: { size: 4, fill: colour } });
    }
    const font = "12px system-ui, 'Liberation Sans', Arial, sans-serif";
    const axis = { stroke: ink, font, labelFont: font, labelSize: 17, grid: { stroke: faint, width: 1 }, ticks: { stroke: faint, width: 1, size: 5 } };
    this.u = new uPlot({
      width: this.plot.clientWidth || 400,
      height: this.plot.clientHeight || 240,
      legend: { show: false },
      series, bands,
      scales: { x: { time: false, range: (_, from, to) => this.range(from, to) } },
      axes: [
        { ...axis, label: this.counts, size: 30, space: 70, incrs: [1, 2, 5].flatMap((m) => [...Array(13).keys()].map((e) => m * 10 ** e)).sort((a, b) => a - b), values: (_, t) => tickLabels(t) },
        { ...axis, label: this.panel.axis, size: (u, labels) => this.axisSize(u, labels, font), values: (_, t) => tickLabels(t) },
      ],
      padding: [10, 22, 0, 0], // half of the x axis' last label extends beyond it
      cursor: {
        sync: { key: "steps", setSeries: false },
        drag: { x: true, y: false, setScale: false },
        y: false,
        dataIdx: (u, s, i) => this.nearest(u.data[s], i),
        bind: { dblclick: () => () => { this.shared.zoom(null); } },
      },
      hooks: {
        setCursor: [() => this.point()],
        setSelect: [(u) => this.select(u)],
      },
    }, this.data(), this.plot);
    this.u.over.append(this.tip);
    this.u.over.addEventListener("mouseenter", () => { this.inside = true; });
    this.u.over.addEventListener("mouseleave", () => { this.inside = false; this.tip.hidden = true; });
    this.u.over.addEventListener("mousedown", () => {
      this.dragging = true;
      document.addEventListener("mouseup", () => { this.dragging = false; this.shared.draw(); }, { once: true });
    });
  }

  range(from, to) {
    if (this.shared.view) return this.shared.view;
    if (from === null) return [0, 1];
    return to > 0 ? [Math.min(0, from), to] : [from - 1, to + 1];
  }

  // axisSize returns the space for the widest label.
  axisSize(u, labels, font) {
    if (!labels) return 50;
    u.ctx.save();
    u.ctx.font = font;
    const widest = Math.max(...labels.map((l) => u.ctx.measureText(l).width));
    u.ctx.restore();
    return Math.ceil(widest) + 16;
  }

  select(u) {
    const { left, width } = u.select;
    if (!this.inside || width < 4) return;
    u.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
    this.shared.zoom([u.posToVal(left, "x"), u.posToVal(left + width, "x")]);
  }

  // nearest returns the index nearest to i at which a row has a value.
  nearest(row, i) {
    if (!row || i === null || i === undefined) return i;
    for (let d = 0; d < row.length; d++) {
      if (row[i - d] !== undefined && row[i - d] !== null) return i - d;
      if (row[i + d] !== undefined && row[i + d] !== null) return i + d;
    }
    return i;
  }

  // point fills the box under the pointer with the lines, sorted by their value there.
  point() {
    const u = this.u;
    if (!u || !this.inside || u.cursor.idx === null || u.cursor.idx === undefined || u.cursor.left < 0) {
      this.tip.hidden = true;
      return;
    }
    const steps = u.data[0];
    const rows = this.lines.map((l) => ({ line: l, i: this.nearest(u.data[l.series], u.cursor.idx) }))
      .map((r) => ({ ...r, value: u.data[r.line.series][r.i], step: steps[r.i] }))
      .filter((r) => r.value !== undefined && r.value !== null)
      .sort((a, b) => b.value - a.value);
    const head = document.createElement("b");
    head.textContent = `${whole(steps[u.cursor.idx])} ${this.counts}`;
    const table = document.createElement("table");
    const most = 14;
    for (const r of rows.slice(0, most)) table.append(this.row(r, steps[u.cursor.idx]));
    this.tip.replaceChildren(head, table);
    if (rows.length > most) this.tip.append(`and ${rows.length - most} more`);
    this.tip.hidden = !rows.length;
    const right = u.cursor.left < u.over.clientWidth / 2;
    this.tip.style.left = right ? `${u.cursor.left + 14}px` : "auto";
    this.tip.style.right = right ? "auto" : `${u.over.clientWidth - u.cursor.left + 14}px`;
    this.tip.style.top = "4px";
  }

  row({ line, i, value, step }, at) {
    const tr = document.createElement("tr");
    const name = tr.insertCell();
    const key = document.createElement("span");
    key.className = "key";
    key.style.setProperty("--c", readable(line.colour));
    const metric = new Set(this.lines.map((l) => l.metric)).size > 1 ? `, ${line.metric}` : "";
    name.append(key, line.label + metric);
    const cell = tr.insertCell();
    cell.textContent = short(value);
    const more = tr.insertCell();
    more.className = "soft";
    const notes = [];
    if (line.low) notes.push(`${short(this.u.data[line.series - 2][i])} … ${short(this.u.data[line.series - 1][i])}`, `${line.seeds[line.steps.indexOf(step)]} seeds`);
    if (step !== at) notes.push(`at ${whole(step)}`);
    more.textContent = notes.join(", ");
    return tr;
  }
}
