"use strict";
// Everything from the run reaches the page as text nodes; nothing here builds HTML from strings.
const make = (tag, attributes = {}, ...children) => {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "class") element.className = value;
    else if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null));
  return element;
};
const words = (verdict) => verdict.replaceAll("_", " ");
const number = (value) => value.toLocaleString("en-US");

// Charts: what the line says under the pointer.
for (const figure of document.querySelectorAll(".chart")) {
  const [steps, values] = JSON.parse(figure.querySelector("script").textContent);
  const [plot, svg, cursor, output] = [".plot", "svg", ".cursor", "output"].map((name) => figure.querySelector(name));
  plot.addEventListener("pointermove", (event) => {
    const box = svg.getBoundingClientRect();
    const span = steps[steps.length - 1] - steps[0] || 1;
    const step = steps[0] + Math.min(1, Math.max(0, (event.clientX - box.left) / box.width)) * span;
    let at = steps.findIndex((candidate) => candidate >= step);
    if (at < 0) at = steps.length - 1;
    if (at > 0 && step - steps[at - 1] < steps[at] - step) at -= 1;
    cursor.style.display = "block";
    cursor.style.left = `${box.left - plot.getBoundingClientRect().left + ((steps[at] - steps[0]) / span) * box.width}px`;
    output.textContent = `step ${number(steps[at])}: ${values[at]}`;
  });
  plot.addEventListener("pointerleave", () => {
    cursor.style.display = "none";
    output.textContent = "";
  });
}

// The explorer.
const root = document.getElementById("explorer");
if (root) {
  const rows = JSON.parse(document.getElementById("rows").textContent);
  const problems = JSON.parse(document.getElementById("problems-table").textContent);
  const stageNames = { before: "Before training", samples: "Teacher's samples", after: "After training" };
  const stages = Object.keys(stageNames).filter((stage) => rows.some((row) => row.g === stage));
  const verdicts = [...new Set(rows.map((row) => row.v))].sort();
  const PAGE = 25;
  let shown = PAGE;

  // What training changed, by the first reply to each held-out problem.
  for (const row of rows) {
    if (row.i === 0 && row.g !== "samples") problems[row.p][row.g] = row.v === "correct";
  }
  const changeOf = (row) => {
    const { before, after } = problems[row.p];
    if (row.g === "samples" || before === undefined || after === undefined || before === after) return "";
    return after ? "learned" : "forgotten";
  };
  const haystack = (row) => {
    const problem = problems[row.p];
    row.text ??= [problem.id, problem.source, problem.prompt, row.t, row.d].join("\n").toLowerCase();
    return row.text;
  };

  const clear = { stage: "", verdict: "", change: "", problem: "", q: "" };
  const filter = { ...clear };
  const readAddress = () => {
    if (!location.hash.includes("=")) return false;
    const asked = new URLSearchParams(location.hash.slice(1));
    for (const key of Object.keys(filter)) filter[key] = asked.get(key) ?? "";
    return true;
  };
  const writeAddress = () => {
    const set = Object.entries(filter).filter(([, value]) => value);
    const hash = new URLSearchParams(set).toString();
    history.replaceState(null, "", hash ? `#${hash}` : location.pathname + location.search);
  };
  const fits = (row, without) =>
    (without === "stage" || !filter.stage || row.g === filter.stage) &&
    (without === "verdict" || !filter.verdict || row.v === filter.verdict) &&
    (without === "change" || !filter.change || (filter.change === "trained" ? row.c === true : changeOf(row) === filter.change)) &&
    (!filter.problem || problems[row.p].id === filter.problem) &&
    (!filter.q || haystack(row).includes(filter.q.toLowerCase()));

  // Text with the search marked, the section markers dimmed and a boxed answer strong.
  const rich = (text) => {
    const pieces = [];
    const pattern = /<\|(?:begin|end)_of_(?:thought|solution)\|>|\\boxed\{[^{}]*\}/g;
    let end = 0;
    for (const match of text.matchAll(pattern)) {
      pieces.push(...marked(text.slice(end, match.index)));
      const kind = match[0].startsWith("<|") ? "section" : "box";
      pieces.push(make("span", { class: kind }, ...marked(match[0])));
      end = match.index + match[0].length;
    }
    pieces.push(...marked(text.slice(end)));
    return pieces;
  };
  const marked = (text) => {
    const wanted = filter.q.toLowerCase();
    const lower = text.toLowerCase();
    if (!wanted || lower.length !== text.length) return [text];
    const pieces = [];
    let end = 0;
    for (let at = lower.indexOf(wanted); at >= 0 && pieces.length < 400; at = lower.indexOf(wanted, end)) {
      pieces.push(text.slice(end, at), make("mark", {}, text.slice(at, at + wanted.length)));
      end = at + wanted.length;
    }
    pieces.push(text.slice(end));
    return pieces;
  };

  const block = (title, kind, text) => make("div", {}, make("h5", {}, title), make("pre", { class: kind }, ...rich(text)));
  const inside = (row) => {
    const problem = problems[row.p];
    const others = rows.filter((other) => other.p === row.p).length - 1;
    const ended = { stop: "ended by itself", length: "cut off at the token limit", refused: "refused" }[row.f];
    return make("div", { class: "inside" },
      block(`${problem.id}, ${problem.source}`, "plain", problem.prompt),
      block(`Reply ${row.i + 1}, ${number(row.n)} tokens, ${ended}`, "", row.t),
      block(`Expected ${problem.answer}; ${words(row.v)}`, "plain", row.d || "no more was said"),
      others > 0
        ? make("button", { class: "other", type: "button", onclick: () => set({ ...clear, problem: problem.id }) },
            `All ${others + 1} replies to this problem`)
        : null);
  };
  const line = (row) => {
    const problem = problems[row.p];
    const details = make("details", { class: "row" },
      make("summary", {},
        make("span", { class: "pill" }, make("i", { class: `key v-${row.v}` }), words(row.v)),
        make("span", { class: "gist" }, ...marked(problem.prompt.slice(0, 240))),
        make("span", { class: "side" }, [stageNames[row.g], row.c ? "trained on" : changeOf(row)].filter(Boolean).join(", "))));
    details.addEventListener("toggle", () => {
      if (details.open && details.children.length === 1) details.append(inside(row));
    });
    return details;
  };

  const search = make("input", { type: "search", placeholder: "Search problems, replies and reasons", "aria-label": "Search",
    oninput: () => set({ q: search.value }) });
  const change = make("select", { "aria-label": "What training changed", onchange: () => set({ change: change.value }) });
  const offers = [["", "Any change"], ["learned", "Learned in training"], ["forgotten", "Forgotten in training"], ["trained", "Trained on"]];
  for (const [value, name] of offers) change.append(make("option", { value }, name));
  const stageChips = make("div", { class: "chips", role: "group", "aria-label": "Stage" });
  const verdictChips = make("div", { class: "chips", role: "group", "aria-label": "Verdict" });
  const found = make("span", { "aria-live": "polite" });
  const list = make("div", { class: "rows" });
  const more = make("button", { class: "more", type: "button", onclick: () => { shown += 4 * PAGE; draw(); } }, "Show more");
  const reset = make("button", { class: "other", type: "button", onclick: () => set(clear) }, "Clear all");
  root.append(make("div", { class: "tools" }, search, change), stageChips, verdictChips, make("div", { class: "found" }, found, reset), list, more);

  const chips = (parent, key, names) => {
    const fitting = rows.filter((row) => fits(row, key));
    const field = key === "stage" ? "g" : "v";
    const chip = (value, label, count, kind) => make("button",
      { type: "button", "aria-pressed": String(filter[key] === value), onclick: () => set({ [key]: value }) },
      kind ? make("i", { class: `key v-${kind}` }) : null, label, make("small", {}, number(count)));
    parent.replaceChildren(chip("", "All", fitting.length), ...names.map(([value, label]) =>
      chip(value, label, fitting.filter((row) => row[field] === value).length, key === "verdict" ? value : "")));
  };
  const draw = () => {
    const fitting = rows.filter((row) => fits(row));
    if (search.value !== filter.q) search.value = filter.q;
    change.value = filter.change;
    chips(stageChips, "stage", stages.map((stage) => [stage, stageNames[stage]]));
    chips(verdictChips, "verdict", verdicts.map((verdict) => [verdict, words(verdict)]));
    const of = `${number(fitting.length)} of ${number(rows.length)} replies`;
    found.textContent = !fitting.length ? "Nothing fits. Clear the search or a filter." : filter.problem ? `${of}, to the problem ${filter.problem}` : of;
    reset.hidden = Object.values(filter).every((value) => !value);
    list.replaceChildren(...fitting.slice(0, shown).map(line));
    if (fitting.length === 1) list.firstChild.open = true;
    more.hidden = fitting.length <= shown;
  };
  const set = (changes) => {
    Object.assign(filter, changes);
    shown = PAGE;
    writeAddress();
    draw();
  };
  const follow = () => {
    if (!readAddress()) return;
    shown = PAGE;
    draw();
    document.getElementById("samples").scrollIntoView();
  };
  window.addEventListener("hashchange", follow);
  draw();
  follow();
}
