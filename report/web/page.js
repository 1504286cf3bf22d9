"use strict";
// A click on a column's header sorts a table; numbers by data-v, the largest first.
for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    const kind = head.dataset.kind || "number";
    if (kind === "none") return;
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    const value = (row) => {
      const cell = row.cells[column];
      if (kind === "text") return cell.textContent.trim();
      const v = parseFloat(cell.dataset.v ?? cell.textContent);
      return Number.isNaN(v) ? null : v;
    };
    button.addEventListener("click", () => {
      const first = kind === "text" ? "ascending" : "descending";
      const second = kind === "text" ? "descending" : "ascending";
      const order = head.getAttribute("aria-sort") === first ? second : first;
      for (const h of heads) h.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", order);
      const sign = order === "ascending" ? 1 : -1;
      const rows = [...table.tBodies[0].rows].sort((a, b) => {
        const x = value(a), y = value(b);
        if (x === null || y === null) return (x === null) - (y === null); // missing numbers come last
        return sign * (kind === "text" ? x.localeCompare(y, undefined, { numeric: true }) : x - y);
      });
      table.tBodies[0].append(...rows);
    });
  });
}

for (const dialog of document.querySelectorAll("dialog")) {
  dialog.querySelector('[data-do="close"]').addEventListener("click", () => dialog.close());
  dialog.addEventListener("click", (e) => { if (e.target === dialog) dialog.close(); });
}

// A run's configuration.
const config = document.getElementById("config");
for (const button of document.querySelectorAll("[data-config]")) {
  button.addEventListener("click", () => {
    const text = document.getElementById(button.dataset.config);
    config.querySelector("b").textContent = text.dataset.title;
    config.querySelector("pre").textContent = text.textContent;
    config.showModal();
  });
}
config.querySelector('[data-do="copy"]').addEventListener("click", () =>
  navigator.clipboard?.writeText(config.querySelector("pre").textContent));

// A figure, enlarged: wheel and buttons zoom, dragging moves, a double click shows all.
const zoom = document.getElementById("zoom");
const stage = zoom.querySelector(".stage");
let svg, whole, box;
const show = () => svg.setAttribute("viewBox", box.join(" "));
const scale = (factor, x = 0.5, y = 0.5) => {
  const width = Math.min(whole[2], Math.max(whole[2] / 40, box[2] * factor));
  const height = width * whole[3] / whole[2];
  const keep = (start, old, now, at, from, size) => Math.min(from + size - now, Math.max(from, start + (old - now) * at));
  box = [keep(box[0], box[2], width, x, whole[0], whole[2]), keep(box[1], box[3], height, y, whole[1], whole[3]), width, height];
  show();
};
const all = () => { box = [...whole]; show(); };
const enlarge = (drawing) => {
  svg = drawing.querySelector("svg").cloneNode(true);
  whole = svg.getAttribute("viewBox").split(/\s+/).map(Number);
  stage.replaceChildren(svg);
  zoom.querySelector("b").textContent = drawing.closest("figure").querySelector("figcaption").textContent;
  zoom.showModal();
  all();
};
for (const drawing of document.querySelectorAll(".drawing")) {
  drawing.addEventListener("click", () => enlarge(drawing));
  drawing.addEventListener("keydown", (e) => {
    if (e.key === "Enter" || e.key === " ") { e.preventDefault(); enlarge(drawing); }
  });
}
zoom.querySelector('[data-do="in"]').addEventListener("click", () => scale(0.7));
zoom.querySelector('[data-do="out"]').addEventListener("click", () => scale(1 / 0.7));
zoom.querySelector('[data-do="all"]').addEventListener("click", all);
stage.addEventListener("dblclick", all);
stage.addEventListener("wheel", (e) => {
  e.preventDefault();
  const r = svg.getBoundingClientRect();
  scale(Math.exp(e.deltaY * 0.0015), (e.clientX - r.left) / r.width, (e.clientY - r.top) / r.height);
}, { passive: false });
stage.addEventListener("pointerdown", (e) => {
  stage.setPointerCapture(e.pointerId);
  let [x, y] = [e.clientX, e.clientY];
  const move = (m) => {
    const r = svg.getBoundingClientRect();
    box[0] = Math.min(whole[0] + whole[2] - box[2], Math.max(whole[0], box[0] - (m.clientX - x) * box[2] / r.width));
    box[1] = Math.min(whole[1] + whole[3] - box[3], Math.max(whole[1], box[1] - (m.clientY - y) * box[3] / r.height));
    [x, y] = [m.clientX, m.clientY];
    show();
  };
  stage.addEventListener("pointermove", move);
  stage.addEventListener("pointerup", () => stage.removeEventListener("pointermove", move), { once: true });
});
