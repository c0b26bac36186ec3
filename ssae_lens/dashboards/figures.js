/* Elements, tables and figures. The report's data reach the page as text nodes or as labels of plotly, which Python has
   escaped; they never become markup. */
"use strict";

const REPORT = JSON.parse(document.getElementById("data").textContent);
const DARK = matchMedia("(prefers-color-scheme: dark)");

/** Return an element; strings among its children become text. */
function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") node.addEventListener(name, value);
    else if (value !== null && value !== false) node.setAttribute(name, value);
  }
  node.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined));
  return node;
}

/** Replace the children of an element and free the figures among them. */
function fill(node, ...children) {
  for (const plot of node.querySelectorAll(".js-plotly-plot")) Plotly.purge(plot);
  node.replaceChildren(...children.flat(Infinity).filter(Boolean));
  return node;
}

function number(value, digits = 3) {
  if (value === null || value === undefined) return "–";
  if (typeof value !== "number") return String(value);
  const size = Math.abs(value);
  const plain = Number.isInteger(value) || (size < 1e5 && size >= 1e-4);
  const text = plain ? (Number.isInteger(value) || size >= 1000 ? String(Math.round(value)) : value.toPrecision(digits)) : value.toExponential(2);
  return text.replace("-", "−");
}

function percent(value) {
  return value === null || value === undefined ? "–" : `${(100 * value).toFixed(value > 0 && value < 0.1 ? 1 : 0)} %`;
}

function missing(message) {
  return el("p", { class: "missing" }, message);
}

/** Return a table of rows of cells; a cell is a text, a number or an element. */
function table(caption, columns, rows, attributes = {}) {
  const cell = (value) => {
    if (value instanceof Node) return value.tagName === "TD" ? value : el("td", {}, value);
    const plain = typeof value === "number" || value === null;
    const long = typeof value === "string" && value.length > 24;
    return el("td", { class: plain ? "number" : long ? "text" : null, dir: plain ? null : "auto" }, plain ? number(value) : String(value));
  };
  const numeric = (i) => rows.length > 0 && rows.every((row) => typeof row[i] === "number" || row[i] === null);
  const heads = columns.map((column, i) =>
    column instanceof Node ? column : el("th", { scope: "col", class: numeric(i) ? "number" : null }, String(column)));
  return el("div", { class: "scroll", role: "region", tabindex: "0", "aria-label": caption, ...attributes },
    el("table", {}, el("caption", {}, caption), el("thead", {}, el("tr", {}, heads)),
      el("tbody", {}, rows.map((row) => el("tr", {}, row.map(cell))))));
}

/** Undo the escaping of plotly's labels. */
function unescaped(label) {
  if (typeof label !== "string") return label;
  return label.replace(/&lt;/g, "<").replace(/&gt;/g, ">").replace(/&amp;/g, "&");
}

/** Return the numbers of a figure as a table. */
function numbersOf({ title, data, layout }) {
  const traces = data.filter((trace) => trace.hoverinfo !== "skip");
  const map = traces.find((trace) => trace.z);
  if (map) {
    const size = 30;
    const caption = map.z.length > size || map.x.length > size ? `${title}: first ${size} rows and columns` : title;
    return table(caption, ["", ...map.x.slice(0, size).map(unescaped)],
      map.z.slice(0, size).map((row, i) => [unescaped(map.y[i]), ...row.slice(0, size)]), { class: "scroll tall" });
  }
  const axis = (name) => layout[name]?.title?.text || name;
  const several = traces.length > 1;
  const rows = traces.flatMap((trace) => trace.x.map((x, i) => {
    const panel = layout.yaxis2 ? axis(trace.yaxis.replace("y", "yaxis")) : null;
    const name = panel && panel !== trace.name ? `${trace.name}, ${panel}` : trace.name;
    return [...(several ? [unescaped(name)] : []), ...(trace.text ? [unescaped(trace.text[i])] : []), unescaped(x), unescaped(trace.y[i])];
  }));
  const heads = [...(several ? ["line"] : []), ...(traces.some((trace) => trace.text) ? ["point"] : []), axis("xaxis"),
    several && layout.yaxis2 ? "value" : axis("yaxis")];
  return table(rows.length > 500 ? `${title}: first 500 points` : title, heads, rows.slice(0, 500), { class: "scroll tall" });
}

/** Return a figure, drawn when it comes into view; its numbers become a table when they are opened. */
function figure(drawing) {
  if (!drawing) return null;
  const plot = el("div", { class: "plot", role: "img", "aria-label": `${drawing.title}. ${drawing.alt}` });
  plot.style.height = `${drawing.height}px`;
  plot.drawing = drawing;
  const numbers = el("details", {}, el("summary", {}, "Numbers"));
  numbers.addEventListener("toggle", () => numbers.append(numbersOf(drawing)), { once: true });
  toDraw.observe(plot);
  return el("figure", {},
    el("figcaption", {}, el("strong", {}, drawing.title), el("span", {}, drawing.alt)), plot, numbers);
}

/** Resize the figures of a panel that is shown again, since the window may have changed. */
function refit(panel) {
  for (const plot of panel.querySelectorAll(".js-plotly-plot")) {
    if (plot.clientWidth !== plot._fullLayout.width) Plotly.Plots.resize(plot);
  }
}

function draw(plot) {
  toDraw.unobserve(plot);
  const { data, layout } = plot.drawing;
  const template = REPORT.templates[DARK.matches ? "dark" : "light"];
  // Plotly modifies its arguments.
  Plotly.newPlot(plot, data, { ...structuredClone(layout), template, ...plot.extra }, {
    responsive: true, displayModeBar: false, // it would cover legends and points; a double click undoes a zoom
  });
}

const toDraw = new IntersectionObserver((entries) => {
  if (typeof Plotly === "undefined") return;
  for (const entry of entries) if (entry.isIntersecting) draw(entry.target);
}, { rootMargin: "200px" });

// Plotly is the page's last script: figures that came into view before it are observed again.
addEventListener("DOMContentLoaded", () => {
  for (const plot of document.querySelectorAll(".plot")) {
    toDraw.unobserve(plot);
    toDraw.observe(plot);
  }
});
addEventListener("beforeprint", () => {
  for (const plot of document.querySelectorAll(".plot:not(.js-plotly-plot)")) if (plot.offsetParent) draw(plot);
});
DARK.addEventListener("change", () => {
  for (const plot of document.querySelectorAll(".js-plotly-plot")) {
    Plotly.purge(plot);
    plot.classList.remove("js-plotly-plot");
    toDraw.observe(plot);
  }
});
