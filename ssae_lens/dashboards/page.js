/* The page: tabs, search, links to latents, and the contents of each tab. */

const TABS = { overview: "Overview", latents: "Latents", comparison: "Comparison", decomposition: "Decomposition" };
const ROWS = 50;
const panels = {};
const shown = new Set();
let selected = null;
let lastLatent = REPORT.latents[0]?.latent;

const SHOW = {
  overview(panel) {
    const rows = REPORT.overview.map(figure);
    fill(panel,
      facts(REPORT.about.map(([name, value]) => [name, typeof value === "number" ? number(value) : String(value)])),
      el("h2", {}, "Latents"),
      REPORT.latents.length ? latentTable() : missing("This report has no latents."),
      rows.length ? el("div", { class: "grid" }, rows) : null,
      terms());
  },
  latents(panel) {
    const list = el("nav", { class: "list", "aria-label": "Latents" });
    panel.list = list;
    panel.page = el("article", {});
    fill(panel, el("div", { class: "latents" }, list, panel.page));
  },
  comparison(panel) {
    const { scores, chosen, tasks, texts, notes } = REPORT.comparison;
    const pages = new Map(tasks);
    const names = [...new Set([...scores.map((row) => row.task), ...pages.keys(), ...texts.map((row) => row.task)])];
    const caption = chosen ? "Score of each method on each task; a star marks a method whose interval lies above those of all others"
      : "Largest behaviour × coherence over all scales, selected on the same texts";
    const note = (text) => (text ? el("p", { class: "quiet" }, text) : null);
    return fill(panel, note(notes.scores), scoreTable(scores, caption), dataTable(scores), note(notes.curves), chooser("task", "Task", names, (task) => [
      pages.get(task)?.length ? el("div", { class: "grid" }, pages.get(task).map(figure)) : missing("No curves for this task."),
      textsOf(texts.filter((row) => row.task === task)),
    ]));
  },
  decomposition(panel) {
    const { summary, vectors } = REPORT.decomposition;
    const pages = new Map(vectors);
    return fill(panel, summary.length ? anyTable("Decomposition of each vector by each dictionary", summary) : null,
      chooser("vector", "Vector", [...pages.keys()], (vector) => el("div", { class: "grid" }, pages.get(vector).map(figure))));
  },
};

/** Return a menu of names, with the contents of the selected one below. */
function chooser(id, label, names, show) {
  const contents = el("div", {});
  const select = el("select", { id }, names.map((name, i) => el("option", { value: i }, String(name))));
  const change = () => fill(contents, show(names[select.value]));
  select.addEventListener("change", change);
  change();
  return el("section", {}, el("p", {}, el("label", { for: id }, `${label} `), select), contents);
}

function anyTable(caption, rows) {
  const columns = [...new Set(rows.flatMap(Object.keys))];
  return table(caption, columns, rows.map((row) => columns.map((column) => row[column] ?? null)));
}

function scoreTable(scores, caption) {
  const tasks = [...new Set(scores.map((row) => row.task))];
  const methods = [...new Set(scores.map((row) => row.method))];
  const rows = tasks.map((task) => {
    const found = new Map(scores.filter((row) => row.task === task).map((row) => [row.method, row]));
    return [String(task), ...methods.map((method) => {
      const row = found.get(method);
      if (!row) return el("td", { class: "number" }, "–");
      const interval = row.low !== undefined && row.high !== undefined ? ` [${number(row.low)}, ${number(row.high)}]` : "";
      const scale = row.scale === undefined || row.scale === null ? null : el("div", { class: "small quiet" }, `scale ${number(row.scale)}`);
      return el("td", { class: row.best ? "number best" : "number" }, number(row.score) + interval, scale);
    })];
  });
  return table(caption, ["task", ...methods].map((name, i) => el("th", { scope: "col", class: i ? "number" : null }, String(name))), rows);
}

function dataTable(scores) {
  const data = new Map(scores.filter((row) => row.given).map((row) => [row.method, row.given]));
  return data.size ? table("Data used by each method", ["method", "data"], [...data]) : null;
}

function textsOf(texts) {
  if (!texts.length) return missing("No steered texts for this task.");
  const prompts = [...new Set(texts.map((row) => row.prompt))];
  const columns = [...new Set(texts.flatMap(Object.keys))].filter((column) => column !== "task" && column !== "prompt");
  return el("section", {}, el("h3", {}, "Texts side by side"), prompts.map((prompt) =>
    table(prompt, columns, texts.filter((row) => row.prompt === prompt).map((row) => columns.map((column) => row[column] ?? null)))));
}

/** Return the table of all latents; a click on a column's header sorts it. */
function latentTable() {
  const has = (key) => REPORT.latents.some((row) => row[key] !== null && row[key] !== undefined && row[key] !== "");
  const titles = { latent: "latent", words: "changed words", name: "concept", fit: "fit", closest: "closest label",
    density: "active", typical: "typical change", strength: "mean |code|", stability: "stability" };
  const columns = Object.fromEntries(Object.entries(titles).filter(([key]) => key === "latent" || key === "strength" || key === "density" || has(key)));
  const cellOf = { latent: (row) => linkTo(row.latent, String(row.latent)), words: (row) => row.words || "–", name: (row) => row.name || "–",
    closest: (row) => (row.closest ? `${row.closest} (${number(row.correlation, 2)})` : "–"),
    density: (row) => el("td", { class: "number" }, percent(row.density)) };
  const contents = el("div", {});
  let [by, down, limit] = ["strength", true, ROWS];
  const show = () => {
    const rank = (value) => (value === null || value === "" || value === undefined ? null : value);
    const rows = [...REPORT.latents].sort((a, b) => {
      const [x, y] = [rank(a[by]), rank(b[by])];
      if (x === null || y === null) return (x === null) - (y === null);
      return (x < y ? -1 : x > y ? 1 : 0) * (down ? -1 : 1);
    });
    const heads = Object.entries(columns).map(([column, title]) => el("th", { scope: "col",
      "aria-sort": by === column ? (down ? "descending" : "ascending") : null },
    el("button", { type: "button", "data-column": column, click: () => {
      [by, down] = [column, by === column ? !down : !["latent", "name", "closest", "words"].includes(column)];
      show();
      contents.querySelector(`[data-column=${column}]`).focus();
    } }, title)));
    const cells = rows.slice(0, limit).map((row) => Object.keys(columns).map((column) => cellOf[column]?.(row) ?? row[column] ?? null));
    const rest = rows.length - limit;
    fill(contents, table(`${rows.length === 1 ? "1 latent" : `${rows.length} latents`}; click a column header to sort`, heads, cells), rest > 0 ? el("p", {},
      el("button", { type: "button", click: () => { limit += 10 * ROWS; show(); } }, `Show ${Math.min(rest, 10 * ROWS)} more`)) : null);
  };
  show();
  return contents;
}

const TERMS = {
  "latent": "A direction that the autoencoder learned; its code in a pair is how far the pair's shift goes along it, with a sign.",
  "changed words": "Words of the first text and what replaces them in the second where the code is positive; + gained, − lost.",
  "active": "The share of pairs whose code is not zero (without thresholds: above a tenth of the pair's largest).",
  "typical change": "The mean |code| weighted by itself: the length of one change, in the units of the model's activations.",
  "fit": "The |correlation| of codes with the labelled changes of the concept.",
  "stability": "How well fits to either half of the pairs, or from other seeds, agree on the direction: 1 is best.",
  "UDR": "Agreement of decoders trained from different seeds, from 0 to 1.",
  "FVU": "The fraction of the shifts' variance that the autoencoder leaves unexplained.",
  "budget": "The share of the shifts' energy that training may lose in exchange for sparser codes.",
  "multiplier": "The price of the constraint in training; at zero the constraint has no effect.",
};

function terms() {
  return el("details", { class: "terms" }, el("summary", {}, "Terms"),
    el("dl", {}, Object.entries(TERMS).map(([name, text]) => [el("dt", {}, name), el("dd", {}, text)])));
}

/** Select a tab; its contents are made when it is first shown. */
function select(tab) {
  selected = tab;
  for (const name of Object.keys(panels)) {
    const button = document.getElementById(`tab-${name}`);
    button.setAttribute("aria-selected", String(name === tab));
    button.tabIndex = name === tab ? 0 : -1;
    panels[name].hidden = name !== tab;
  }
  if (shown.has(tab)) refit(panels[tab]);
  else SHOW[tab](panels[tab]);
  shown.add(tab);
}

/** Show the tab or the latent of the address. */
function route() {
  const target = location.hash.slice(1);
  if (target === "main") return;
  const match = /^latent-(\d+)$/.exec(target);
  if (!match && target !== "latents") {
    select(Object.hasOwn(panels, target) ? target : "overview");
    document.title = REPORT.title;
    return;
  }
  const moved = selected !== null;
  const latent = match ? Number(match[1]) : lastLatent;
  if (byNumber.has(latent)) lastLatent = latent;
  select("latents");
  const { list, page } = panels.latents;
  if (latent === undefined) {
    fill(page, missing("This report has no latents."));
    return;
  }
  const scrolled = list.scrollTop;
  fill(list, latentList(latent));
  list.scrollTop = scrolled;
  const current = list.querySelector("[aria-current]");
  if (current) {
    const [box, frame] = [current.getBoundingClientRect(), list.getBoundingClientRect()];
    if (box.top < frame.top || box.bottom > frame.bottom) list.scrollTop += box.top - frame.top - frame.height / 3;
  }
  fill(page, latentPage(latent));
  document.title = `Latent ${latent} – ${REPORT.title}`;
  if (moved && match) page.querySelector("h2").focus();
}

function begin() {
  document.title = REPORT.title;
  document.getElementById("title").textContent = REPORT.title;
  const tabs = document.getElementById("tabs");
  const empty = { comparison: !REPORT.comparison.scores?.length, decomposition: !REPORT.decomposition.vectors?.length };
  for (const [name, title] of Object.entries(TABS).filter(([tab]) => !empty[tab])) {
    tabs.append(el("button", { type: "button", role: "tab", id: `tab-${name}`, "aria-controls": `panel-${name}`,
      click: () => { location.hash = name; } }, title));
    panels[name] = el("section", { role: "tabpanel", id: `panel-${name}`, "aria-labelledby": `tab-${name}` });
    document.getElementById("main").append(panels[name]);
  }
  tabs.addEventListener("keydown", (event) => {
    const names = Object.keys(panels);
    const to = { ArrowRight: names.indexOf(selected) + 1, ArrowLeft: names.indexOf(selected) - 1, Home: 0, End: names.length - 1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    const name = names.at(to % names.length);
    location.hash = name;
    document.getElementById(`tab-${name}`).focus();
  });
  const input = document.getElementById("query");
  input.addEventListener("input", () => {
    query = input.value;
    if (selected !== "latents") location.hash = "latents";
    else fill(panels.latents.list, latentList(lastLatent));
  });
  document.getElementById("search").addEventListener("submit", (event) => {
    event.preventDefault();
    const [first] = matching();
    if (first) location.hash = `latent-${first.latent}`;
  });
  addEventListener("keydown", (event) => {
    const by = { j: 1, k: -1 }[event.key];
    if (!by || selected !== "latents" || event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, select, textarea")) return;
    step(by);
  });
  addEventListener("hashchange", route);
  route();
}

begin();
