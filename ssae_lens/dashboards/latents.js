/* The tab of latents: the list, filtered by the search, and the page of one latent. */

const LISTED = 200;
const byNumber = new Map(REPORT.latents.map((row) => [row.latent, row]));
const ACTIVITIES = [0, 0.01, 0.02, 0.05, 0.1, 0.2];
let query = "";
let leastActive = 0;

/** The number of a latent with its name or, without one, the words that change with it. */
function titleOf(row) {
  return row.name || row.words ? `${row.latent} ${row.name || row.words}` : String(row.latent);
}

function matching() {
  const words = query.trim().toLowerCase();
  return REPORT.latents.filter((row) => (row.density ?? 1) >= leastActive
    && (!words || `${titleOf(row)} ${row.closest || ""} ${row.words || ""} ${row.all_words.join(" ")}`.toLowerCase().includes(words)));
}

function linkTo(latent, text) {
  return el("a", { href: `#latent-${latent}` }, text ?? titleOf(byNumber.get(latent)));
}

function latentList(current) {
  const found = matching();
  const items = found.slice(0, LISTED).map((row) => {
    const link = linkTo(row.latent);
    if (row.latent === current) link.setAttribute("aria-current", "page");
    const words = row.name && row.words ? el("span", { class: "small quiet", dir: "auto" }, row.words) : null;
    return el("li", {}, link, words, activityBar(row));
  });
  const more = found.length > LISTED ? `The first ${LISTED} of ${found.length}; use the search to filter.` : "";
  const filtered = query || leastActive > 0;
  return [activityFilter(), el("p", { class: "small quiet", role: "status" },
    filtered ? `${found.length} of ${REPORT.latents.length} latents. ${more}` : more), el("ul", {}, items)];
}

/** Return a bar as long as the share of pairs in which a latent is active. */
function activityBar(row) {
  if (row.density === null) return null;
  const bar = el("span", { class: "bar", title: `active in ${percent(row.density)} of pairs` }, el("span", {}));
  bar.firstChild.style.width = `${100 * Math.sqrt(row.density)}%`;
  return bar;
}

function activityFilter() {
  if (!REPORT.latents.some((row) => row.density !== null)) return null;
  const select = el("select", { id: "activity" }, ACTIVITIES.map((share) =>
    el("option", { value: share, selected: share === leastActive ? "" : null }, share ? `at least ${percent(share)}` : "any")));
  select.addEventListener("change", () => {
    leastActive = Number(select.value);
    fill(panels.latents.list, latentList(lastLatent));
    document.getElementById("activity").focus();
  });
  return el("p", { class: "small" }, el("label", { for: "activity" }, "Active in "), select, " of pairs");
}

/** Return a button that copies a text, and says so. */
function copyButton(title, text) {
  const button = el("button", { type: "button", class: "copy", click: async () => {
    try {
      await navigator.clipboard.writeText(text());
      button.textContent = "Copied";
    } catch {
      const area = el("textarea", { class: "copied", readonly: "", rows: 3, "aria-label": title }, text());
      button.after(area);
      area.select();
      button.textContent = "Select and copy";
    }
    setTimeout(() => { button.textContent = title; }, 2000);
  } }, title);
  return button;
}

/** Go to the latent that is some steps further in the list. */
function step(by) {
  const found = matching();
  const at = found.findIndex((row) => row.latent === lastLatent);
  const next = found[at < 0 ? 0 : Math.min(Math.max(at + by, 0), found.length - 1)];
  if (next) location.hash = `latent-${next.latent}`;
}

/** Split a text at spans of its characters (code points, as in Python) and mark them. */
function marked(text, spans, tag) {
  const letters = Array.from(text);
  const parts = [];
  let position = 0;
  for (const [start, end] of spans) {
    parts.push(letters.slice(position, start).join(""), el(tag, {}, letters.slice(start, end).join("")));
    position = end;
  }
  return [...parts, letters.slice(position).join("")];
}

function pairList(title, pairs, none) {
  const items = pairs.map((pair) => el("li", {},
    el("p", { class: "small quiet" }, `code ${number(pair.code)}, row ${pair.row}`),
    pair.source || pair.target ? [
      el("p", { dir: "auto" }, marked(pair.source, pair.source_spans, "del")),
      el("p", { dir: "auto" }, marked(pair.target, pair.target_spans, "ins")),
    ] : el("p", { class: "quiet" }, "These shifts have no texts.")));
  return el("section", {}, el("h3", {}, title), items.length ? el("ol", { class: "pairs" }, items) : missing(none));
}

/** Return a token with visible white space. */
function token(text) {
  return el("code", {}, text.replace(/ /g, "␣").replace(/\n/g, "⏎").replace(/\t/g, "⇥"));
}

function tokenTable(title, tokens) {
  return tokens.length ? table(title, ["token", "logit"], tokens.map(([text, logit]) => [token(text), logit])) : null;
}

/** Return a slider of steering strength with the steered texts, beside the unsteered ones. */
function steeredTexts(texts, curve) {
  const scales = [...new Set(texts.map((each) => each.scale))].sort((a, b) => a - b);
  const plain = new Map(texts.filter((each) => each.scale === 0).map((each) => [each.prompt, each.text]));
  const shown = el("div", { "aria-live": "polite" });
  const slider = el("input", { type: "range", id: "scale", min: 0, max: scales.length - 1, step: 1, value: scales.length - 1 });
  const label = el("output", { for: "scale" });
  const show = () => {
    const scale = scales[slider.value];
    label.value = String(scale).replace("-", "−");
    slider.setAttribute("aria-valuetext", `scale ${label.value}`);
    fill(shown, texts.filter((each) => each.scale === scale).map((each) => el("blockquote", { dir: "auto" },
      el("p", {}, el("strong", {}, each.prompt), each.text),
      scale !== 0 && plain.has(each.prompt)
        ? el("p", { class: "quiet small" }, "Unsteered: ", el("strong", {}, each.prompt), plain.get(each.prompt)) : null)));
    markScale(curve, scale);
  };
  slider.addEventListener("input", show);
  show();
  return el("section", {}, el("h3", {}, "Steered texts"),
    el("p", {}, el("label", { for: "scale" }, "Steering strength (scale) "), slider, " ", label), shown);
}

/** Mark the slider's scale in the steering curve, if it was measured. */
function markScale(curve, scale) {
  const plot = curve?.querySelector(".plot");
  if (!plot) return;
  const measured = plot.drawing.data.some((trace) => trace.x.includes(scale));
  const line = { type: "line", x0: scale, x1: scale, yref: "paper", y0: 0, y1: 1, line: { width: 2, dash: "dot", color: "#7b8490" } };
  plot.extra = { shapes: measured ? [line] : [] };
  if (plot.classList.contains("js-plotly-plot")) Plotly.relayout(plot, plot.extra);
}

function steps(latent) {
  const at = REPORT.latents.findIndex((row) => row.latent === latent);
  const [before, after] = [REPORT.latents[at - 1], REPORT.latents[at + 1]];
  return el("nav", { class: "steps", "aria-label": "Neighbouring latents" },
    before ? linkTo(before.latent, `← ${titleOf(before)}`) : null, after ? linkTo(after.latent, `${titleOf(after)} →`) : null);
}

function facts(pairs) {
  return el("dl", { class: "facts" }, pairs.map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value))));
}

function latentPage(latent) {
  const row = byNumber.get(latent);
  if (!row) return [el("h2", { tabindex: "-1" }, `There is no latent ${latent}`), missing(`The SSAE has ${REPORT.latents.length} latents.`)];
  const parts = [
    steps(latent),
    el("h2", { tabindex: "-1" }, row.name ? `Latent ${latent}: ${row.name}` : `Latent ${latent}`),
    row.words ? el("p", { class: "words", dir: "auto" }, row.words) : null,
    facts([
      ...(row.name ? [["concept", `${row.name}${row.sign < 0 ? " (negative sign)" : ""}`]] : []),
      ...(row.fit === null ? [] : [["fit to the concept", number(row.fit)]]),
      ["active", percent(row.density)],
      ["typical change", number(row.typical)],
      ["mean |code|", number(row.strength)],
      ...(row.stability === null ? [] : [["stability", number(row.stability)]]),
    ]),
  ];
  if (row.broken) parts.push(el("p", { class: "warning" }, "The decoder row or the codes of this latent hold NaN or infinity; they are shown as zero."));
  else if (row.density === 0) parts.push(el("p", { class: "warning" }, "This latent is dead: it is never active on these pairs."));
  const detail = REPORT.details[latent];
  if (!detail) return [...parts, missing("The page of this latent was left out to limit the size of the file. The report has pages for the named and the strongest latents.")];
  const curve = figure(detail.steering);
  return [
    ...parts,
    el("p", { class: "row" },
      copyButton("Copy link", () => location.href),
      copyButton("Copy vector", () => JSON.stringify(detail.direction))),
    el("div", { class: "grid" },
      figure(detail.codes), figure(detail.correlations)),
    el("h2", {}, "Top activating pairs"),
    el("p", { class: "small quiet" }, "Words only in the first text are ", el("del", {}, "struck out"), "; words only in the second text are ", el("ins", {}, "underlined"), "."),
    el("div", { class: "grid" },
      pairList("Most positive codes", detail.positive, "No pairs with positive codes."),
      pairList("Most negative codes", detail.negative, "No pairs with negative codes.")),
    el("h2", {}, "Direction"),
    el("div", { class: "grid" },
      detail.promoted.length + detail.suppressed.length ? el("section", {}, el("h3", {}, "Tokens (logit lens)"),
        el("div", { class: "row" }, tokenTable("promoted", detail.promoted), tokenTable("suppressed", detail.suppressed))) : null,
      el("section", {}, el("h3", {}, "Nearest latents"), detail.nearest.length
        ? table("cosine similarity of decoder rows", ["latent", "cosine"], detail.nearest.map(([other, cosine]) => [linkTo(other), cosine]))
        : missing("No other latents.")),
      detail.vectors.length ? el("section", {}, el("h3", {}, "Vectors of other methods for this concept"),
        table("cosine similarity with this latent", ["method", "cosine"], detail.vectors)) : null),
    curve || detail.steered.length ? el("h2", {}, "Steering") : null,
    curve,
    detail.steered.length ? steeredTexts(detail.steered, curve) : null,
  ];
}
