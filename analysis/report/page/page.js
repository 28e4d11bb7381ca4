// Charts in place of the still pictures, and tables that sort and filter. Without it the page is whole.

const dark = matchMedia("(prefers-color-scheme: dark)");
const ink = () => getComputedStyle(document.body).color;
const rule = () => getComputedStyle(document.documentElement).getPropertyValue("--rule").trim();
const specifications = new Map();
const widths = new Map(); // of the plots as they were drawn last
// pixels: the least of a panel among several, its axis of y, the sides of a plot, and of a legend's
// entry its mark and a letter
const [PANEL, AXIS, PADDING, MARK, LETTER] = [200, 66, 24, 28, 6.2];

// The letters of the longest name in a legend.
function longest(part) {
  if (!part || typeof part !== "object") return 0;
  const names = part.legend && part.scale?.domain;
  if (names) return Math.max(0, ...names.map((name) => String(name).length));
  return Math.max(0, ...Object.values(part).map(longest));
}

function themed(text) {
  const spec = JSON.parse(text);
  const twins = dark.matches ? spec.usermeta.dark : {};
  const colored = JSON.parse(text.replace(/"(#[0-9a-f]{6})"/g, (all, color) => `"${twins[color] ?? color}"`));
  const axis = { labelColor: ink(), titleColor: ink(), gridColor: rule(), domainColor: rule(),
    tickColor: rule(), labelFontSize: 12, titleFontSize: 12.5, titleFontWeight: 400, labelOverlap: true };
  colored.config = { ...colored.config, background: "transparent", axis, font: "system-ui, sans-serif",
    legend: { labelColor: ink(), labelFontSize: 12 }, title: { color: ink(), fontSize: 13, fontWeight: 500 } };
  return colored;
}

async function draw(plot) {
  const text = specifications.get(plot) ?? plot.querySelector("script").textContent;
  specifications.set(plot, text);
  const chart = plot.querySelector(".chart");
  widths.set(plot, plot.clientWidth);
  const entry = MARK + LETTER * longest(JSON.parse(text));
  const across = Math.max(1, Math.min(3, Math.floor((plot.clientWidth - PADDING) / entry)));
  const spec = themed(text.replace(/"columns": ?\d+/g, `"columns":${across}`));
  if (spec.concat) {
    const { columns } = JSON.parse(text);
    const room = plot.clientWidth - PADDING;
    spec.columns = Math.max(1, Math.min(columns, Math.floor(room / PANEL)));
    for (const view of spec.concat) view.width = Math.floor(room / spec.columns) - AXIS;
  }
  await embed(chart, spec, { actions: false, renderer: "svg" });
  plot.classList.add("drawn");
}

function download(button) {
  const plot = button.closest("figure").querySelector(".plot");
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([specifications.get(plot)], { type: "application/json" }));
  link.download = `${plot.dataset.name}.json`;
  link.click();
}

const SCALE = { k: 1e3, M: 1e6, B: 1e9, T: 1e12, s: 1, min: 60, h: 3600 };

function value(cell) {
  const found = cell.textContent.trim().match(/^([-+−]?[\d.]+(?:e[-+]?\d+)?)\s*(k|M|B|T|s|min|h|%)?$/);
  return found ? parseFloat(found[1].replace("−", "-")) * (SCALE[found[2]] ?? 1) : NaN;
}

function sort(button) {
  const head = button.closest("th");
  const body = head.closest("table").tBodies[0];
  const at = head.cellIndex;
  const sign = head.getAttribute("aria-sort") === "ascending" ? -1 : 1;
  const compare = (one, other) => {
    const [a, b] = [one.cells[at], other.cells[at]];
    const [x, y] = [value(a), value(b)];
    if (isNaN(x) || isNaN(y)) return isNaN(x) - isNaN(y) || sign * a.textContent.localeCompare(b.textContent);
    return sign * (x - y);
  };
  body.append(...[...body.rows].sort(compare));
  for (const each of head.parentElement.cells) each.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", sign > 0 ? "ascending" : "descending");
}

function filter(field) {
  const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
  for (const row of document.getElementById(field.dataset.rows).tBodies[0].rows) {
    const text = row.textContent.toLowerCase();
    row.hidden = !words.every((word) => text.includes(word));
  }
}

document.documentElement.classList.add("live");
document.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (button?.classList.contains("sort")) sort(button);
  if (button?.classList.contains("json")) download(button);
});
document.addEventListener("input", (event) => {
  if (event.target.matches("input[data-rows]")) filter(event.target);
});
const plots = [...document.querySelectorAll(".plot")].filter((plot) => plot.querySelector("script"));
const drawAll = () => Promise.all(plots.map(draw));
dark.addEventListener("change", drawAll);
const turned = new ResizeObserver((entries) => {
  for (const { target } of entries) if (widths.get(target) !== target.clientWidth) draw(target);
});
window.ready = drawAll().then(() => plots.forEach((plot) => turned.observe(plot)));
