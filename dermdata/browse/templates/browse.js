// The page: what is asked for, facets, marks and the confusion matrix around the grid.

import { Grid } from "./grid.js";
import { PictureView } from "./picture.js";
import { ask, clean, find, make, number, parameters, plural, post, readAddress, resetState, state, view, writeAddress } from "./state.js";

const WAIT = 250; // milliseconds after the last key
const MOST_MARKED = 2000; // by one click
const FEW = 8; // values of a facet that are shown at once
const undoable = [];
const opened = new Set(["diagnosis", "label", "split", "problem", "prediction", "dataset"]);
const whole = new Set(); // facets of which all values are shown

const grid = new Grid({ open: (index) => single.open(index), mark, fail });
const single = new PictureView(grid, { mark, fail });

// ------------------------------------------------------------------ what is shown

let turn = 0;

async function refresh(stay = false) {
  const mine = ++turn;
  find("grid").setAttribute("aria-busy", "true");
  const facets = ask("facets", parameters());
  try {
    const [total, counted] = await Promise.all([grid.load(stay), facets]);
    if (mine !== turn) return;
    showError("");
    showCount(total);
    showFacets(counted.facets);
    showChips();
  } catch (error) {
    if (error.name !== "AbortError" && mine === turn) showError(error.message);
  } finally {
    if (mine === turn) find("grid").setAttribute("aria-busy", "false");
  }
}

function showCount(total) {
  const all = total === view.rows;
  find("count").textContent = all ? plural(total, "picture") : `${number(total)} of ${plural(view.rows, "picture")}`;
  find("empty").hidden = total > 0;
  const button = find("mark-all");
  button.hidden = all || !total || total > MOST_MARKED;
  button.textContent = `Mark all ${number(total)}`;
}

function showError(words) {
  find("where-error").hidden = !words;
  find("where-error").textContent = clean(words);
  find("where").setAttribute("aria-invalid", String(Boolean(words)));
}

function fail(error) {
  toast(error.message);
}

function change(replace = false) {
  writeAddress(replace === true);
  refresh();
}

// ------------------------------------------------------------------ facets

function showFacets(facets) {
  const focused = document.activeElement?.dataset?.facet;
  const value = document.activeElement?.dataset?.value;
  find("facet-list").replaceChildren(...facets.map(facetPart));
  if (focused) document.querySelector(`[data-facet="${CSS.escape(focused)}"][data-value="${CSS.escape(value)}"]`)?.focus();
}

function facetPart(facet) {
  const chosen = state.filters[facet.name] ?? [];
  const values = facet.values.filter((one) => one.count || chosen.includes(one.value));
  const shown = whole.has(facet.name) || facet.kind === "tree" ? values : values.slice(0, FEW);
  const most = Math.max(1, ...values.map((one) => one.count));
  const list = make("ul", { class: facet.kind }, ...shown.map((one) => facetLine(facet, one, chosen, most)));
  const range = facet.name === "age" ? ageRange(facet, chosen) : null;
  const part = make("details", {}, make("summary", { text: facet.title }), range, list);
  if (shown.length < values.length) {
    const more = make("button", { type: "button", class: "more", text: `${plural(values.length - shown.length, "more value")}` });
    more.addEventListener("click", () => {
      whole.add(facet.name);
      part.replaceWith(facetPart(facet));
    });
    part.append(more);
  }
  if (facet.more) part.append(facetSearch(facet, chosen, list, most));
  part.open = opened.has(facet.name) || chosen.length > 0;
  part.addEventListener("toggle", () => (part.open ? opened.add(facet.name) : opened.delete(facet.name)));
  return part;
}

/** What a facet has beyond the values that are listed: found by a part of their name. */
function facetSearch(facet, chosen, list, most) {
  const box = make("input", { type: "search", "aria-label": `Find a value of ${facet.title}`, placeholder: `find in ${number(facet.more + facet.values.length)} values`, autocomplete: "off" });
  box.addEventListener("input", later(async () => {
    const asked = parameters({ find: box.value });
    try {
      const said = await ask(`facets/${encodeURIComponent(facet.name)}`, asked);
      list.replaceChildren(...said.values.slice(0, 100).map((one) => facetLine(facet, one, chosen, most)));
    } catch (error) {
      fail(error);
    }
  }));
  return box;
}

/** From one decade to another: two choices instead of one box for each. */
function ageRange(facet, chosen) {
  const decades = facet.values.map((one) => one.value).filter((one) => typeof one === "number");
  const known = chosen.filter((one) => typeof one === "number").sort((one, other) => one - other);
  if (decades.length < 3) return null;
  const limit = (words, value, last) => {
    const options = decades.map((one) => make("option", { value: String(one), text: String(last ? one + 9 : one), selected: one === value }));
    const any = make("option", { value: "", text: "any", selected: value === undefined });
    const select = make("select", { "data-facet": "age", "data-value": words }, any, ...options);
    select.addEventListener("change", apply);
    return select;
  };
  const from = limit("from", known.length ? known[0] : undefined, false);
  const to = limit("to", known.at(-1), true);
  function apply() {
    let [low, high] = [from, to].map((one) => (one.value === "" ? null : Number(one.value)));
    if (low !== null && high !== null && low > high) [low, high] = [high, low];
    const wanted = decades.filter((one) => (low === null || one >= low) && (high === null || one <= high));
    if (low === null && high === null) delete state.filters.age;
    else state.filters.age = wanted;
    change();
  }
  return make("p", { class: "range" }, make("label", { text: "from " }, from), make("label", { text: "to " }, to));
}

function facetLine(facet, one, chosen, most) {
  const box = make("input", { type: "checkbox", "data-facet": facet.name, "data-value": JSON.stringify(one.value) });
  box.checked = chosen.includes(one.value);
  box.addEventListener("change", () => choose(facet.name, one.value, box.checked));
  const bar = make("span", { class: "share" });
  bar.style.width = `${Math.max(1, (100 * one.count) / most)}%`;
  const words = make("span", { class: "word", text: facet.kind === "tree" ? one.title.replace(/ \(.*\)$/, "") : one.title });
  const label = make("label", {}, box, words, make("span", { class: "count", text: number(one.count) }));
  if (one.depth) label.style.paddingInlineStart = `${Math.min(one.depth, 8) * 0.7}rem`;
  return make("li", { title: one.title }, bar, label);
}

function choose(name, value, on) {
  const rest = (state.filters[name] ?? []).filter((one) => one !== value);
  const wanted = on ? [...rest, value] : rest;
  if (wanted.length) state.filters[name] = wanted;
  else delete state.filters[name];
  change();
}

// ------------------------------------------------------------------ active filters

function showChips() {
  const chips = [];
  for (const [name, values] of Object.entries(state.filters)) {
    const title = view.facets.find((one) => one.name === name)?.title ?? name;
    for (const value of values) chips.push(chip(`${title}: ${valueTitle(name, value)}`, () => choose(name, value, false)));
  }
  if (state.cell.length) chips.push(chip(`true ${state.cell[0]}, taken for ${state.cell[1]}`, () => change(void (state.cell = []))));
  if (state.marked) chips.push(chip("marked", () => change(void (state.marked = ""))));
  if (chips.length > 1) chips.push(chip("all filters", () => change(resetState())));
  find("chips").replaceChildren(...chips);
  find("marked").setAttribute("aria-pressed", String(state.marked === "yes"));
  for (const name of ["search", "where", "sort", "group"]) if (document.activeElement !== find(name)) find(name).value = state[name];
}

function valueTitle(name, value) {
  const box = document.querySelector(`[data-facet="${CSS.escape(name)}"][data-value="${CSS.escape(JSON.stringify(value))}"]`);
  return box?.parentElement.querySelector(".word").textContent ?? (value === null ? "not stated" : String(value));
}

function chip(words, remove) {
  const button = make("button", { type: "button", text: `${words} ✕`, "aria-label": `Remove the filter ${clean(words)}` });
  button.addEventListener("click", remove);
  return make("li", {}, button);
}

// ------------------------------------------------------------------ marks

/** Mark pictures, or take their marks away; whether the list on disk says so. */
async function mark(items, marked, again = false) {
  const changed = items.filter((item) => item.marked !== marked); // an undo leaves alone what was so before
  const rows = changed.map((item) => item.row);
  if (!rows.length) {
    toast(`already ${marked ? "marked" : "unmarked"}`);
    return true;
  }
  try {
    const said = await post("marks", { rows, marked, issue: find("issue").value, again });
    const none = said.refused === rows.length;
    if (!none) {
      for (const item of changed) item.marked = marked;
      grid.setMarked(rows, marked);
      if (!again) undoable.push({ items: changed, marked });
    }
    showMarks(said);
    if (single.isOpen) single.showMark(single.said.marked); // an undo as well
    const refused = said.refused ? `; ${number(said.refused)} not: ${said.reason}` : "";
    const others = said.others ? `; ${plural(said.others, "row")} of the same name with them` : "";
    toast(`${plural(rows.length - (said.refused ?? 0), "picture")} ${marked ? "marked" : "unmarked"}${refused}${others}`, !again && !none);
    if ((said.refused && !none) || said.others) await refresh(true); // who is marked now, the server knows
    return true;
  } catch (error) {
    fail(error);
    return false;
  }
}

async function undo() {
  const last = undoable.pop();
  if (!last) return toast("nothing to undo");
  if (!(await mark(last.items, !last.marked, true))) undoable.push(last);
}

function showMarks(said) {
  view.exclusions = said;
  find("marked").textContent = `${number(said.count)} marked`;
  find("list-path").textContent = clean(said.path);
  find("list-problem").hidden = !said.problem;
  find("list-problem").textContent = clean(said.problem ?? "");
}

async function markAll() {
  try {
    await mark(await grid.between(0, grid.total - 1), true);
  } catch (error) {
    if (error.name !== "AbortError") fail(error);
  }
}

let fading;

function toast(words, canUndo = false) {
  const dialog = [...document.querySelectorAll("dialog[open]")].at(-1); // what lies below one cannot be read or pressed
  (dialog ?? document.body).append(find("toast"));
  find("toast-text").textContent = clean(words);
  find("undo").hidden = !canUndo;
  find("toast").hidden = false;
  clearTimeout(fading);
  fading = setTimeout(() => (find("toast").hidden = true), 6000);
}

// ------------------------------------------------------------------ the confusion matrix

async function openMatrix() {
  const asked = parameters({ by: find("matrix-by").value });
  asked.delete("cell"); // the matrix is of all cells
  let said;
  try {
    said = await ask("confusion", asked);
  } catch (error) {
    fail(error);
    return;
  }
  showGroups(said);
  const right = said.classes.reduce((sum, _, place) => sum + said.matrix[place][place], 0);
  const total = said.matrix.flat().reduce((sum, count) => sum + count, 0);
  const share = total ? ` (${((100 * right) / total).toFixed(1)} %)` : "";
  find("confusion-note").textContent = `${number(right)} of ${plural(total, "picture")} right${share}, of those that the filters leave. A line is a true class, a column what it was taken for; a cell opens its pictures.`;
  const heads = said.classes.map((one) => make("th", { scope: "col" }, make("span", { text: one })));
  const lines = said.classes.map((one, place) => matrixLine(one, said.classes, said.matrix[place], place));
  find("matrix").replaceChildren(
    make("thead", {}, make("tr", {}, make("th", { scope: "col", text: "true, below; taken for, beside" }), ...heads)),
    make("tbody", {}, ...lines),
  );
  if (!find("confusion").open) find("confusion").showModal();
}

/** How good the model is for each value of a facet; a line filters the pictures to its own. */
function showGroups(said) {
  find("group-table").hidden = !said.groups.length;
  const lines = said.groups.map((one) => {
    const open = make("button", { type: "button", class: "plain", text: one.title });
    open.addEventListener("click", () => {
      find("confusion").close();
      state.filters[said.by.name] = [one.value];
      change();
    });
    const share = one.accuracy === null ? "" : `${(100 * one.accuracy).toFixed(1)} %`;
    return make("tr", {}, make("th", { scope: "row" }, open), make("td", { text: share }), make("td", { text: `${number(one.right)} of ${number(one.n)}` }));
  });
  find("group-lines").replaceChildren(...lines);
  find("group-more").textContent = said.more ? `${plural(said.more, "smaller group")} not shown` : "";
}

function matrixLine(name, classes, counts, place) {
  const sum = counts.reduce((one, other) => one + other, 0);
  const cells = counts.map((count, column) => {
    const cell = make("td", { class: column === place ? "right" : "" });
    if (!count) return make("td", { class: "nothing", text: "·" });
    const button = make("button", { type: "button", text: number(count), "aria-label": `${number(count)} true ${clean(name)}, taken for ${clean(classes[column])}` });
    button.dataset.heat = String(Math.ceil((8 * count) / sum));
    button.addEventListener("click", () => {
      find("confusion").close();
      state.cell = [name, classes[column]];
      if (view.sorts.some((one) => one.name === "worst")) state.sort = "worst";
      change();
    });
    cell.append(button);
    return cell;
  });
  return make("tr", {}, make("th", { scope: "row", text: `${name} (${number(sum)})` }), ...cells);
}

// ------------------------------------------------------------------ what the person does

function later(work) {
  let timer;
  return () => {
    clearTimeout(timer);
    timer = setTimeout(work, WAIT);
  };
}

function setBlur(on) {
  grid.setBlur(on);
  single.redraw();
  find("blur").setAttribute("aria-pressed", String(on));
}

function setDrawer(on) {
  if (on === document.body.classList.contains("drawer")) return;
  document.body.classList.toggle("drawer", on);
  find("facets-open").setAttribute("aria-expanded", String(on));
  document.querySelector("main").inert = on; // it lies below the drawer
  if (on) find("facets").querySelector("summary, input")?.focus();
  else find("facets-open").focus();
}

function bindControls() {
  matchMedia("(max-width: 800px)").addEventListener("change", () => setDrawer(false)); // a phone that is turned
  let typing = false; // one step back takes away what was typed, not its last letter
  const typed = later(() => {
    state.search = find("search").value;
    state.where = find("where").value;
    change(typing);
    typing = true;
  });
  for (const name of ["search", "where"]) {
    find(name).addEventListener("input", typed);
    find(name).addEventListener("focus", () => (typing = false));
  }
  document.querySelector(".skip").addEventListener("click", (event) => {
    event.preventDefault(); // the address holds the filters
    grid.move(grid.active);
  });
  find("matrix-by").append(...view.facets.map((one) => make("option", { value: one.name, text: one.title })));
  find("matrix-by").addEventListener("change", openMatrix);
  for (const name of ["sort", "group"]) find(name).addEventListener("change", () => change(void (state[name] = find(name).value)));
  find("asks").addEventListener("submit", (event) => event.preventDefault());
  find("size").addEventListener("input", () => grid.setSize(Number(find("size").value)));
  find("blur").addEventListener("click", () => setBlur(!grid.blur));
  find("reset").addEventListener("click", () => change(resetState()));
  find("marked").addEventListener("click", () => change(void (state.marked = state.marked ? "" : "yes")));
  find("mark-all").addEventListener("click", markAll);
  find("undo").addEventListener("click", undo);
  find("facets-open").addEventListener("click", () => setDrawer(!document.body.classList.contains("drawer")));
  find("confusion-open").addEventListener("click", openMatrix);
  find("help-open").addEventListener("click", () => find("help").showModal());
  for (const name of ["help", "confusion"]) find(`${name}-close`).addEventListener("click", () => find(name).close());
  addEventListener("popstate", () => {
    readAddress();
    refresh();
  });
  addEventListener("keydown", pressed);
}

function pressed(event) {
  const typing = event.target.matches?.("input:not([type=checkbox]):not([type=range]), select, textarea");
  const sliding = event.target.matches?.("input[type=range]") && /^(Arrow|Home|End|Page)/.test(event.key);
  if (event.ctrlKey || event.metaKey || event.altKey || typing || sliding) return;
  if (find("help").open || find("confusion").open) return;
  if (actOn(event)) event.preventDefault();
}

function actOn(event) {
  if (event.key === "b") return setBlur(!grid.blur) ?? true;
  if (event.key === "z") return undo() && true;
  if (single.isOpen) return actInPicture(event.key);
  if (event.key === "/") return find("search").focus() ?? true;
  if (event.key === "?") return find("help").showModal() ?? true;
  if (event.key === "x" || event.key === "m") return grid.toggle(grid.active) ?? true;
  if (event.key === "Escape") return setDrawer(false) ?? true;
  if (event.target.closest?.("#facets, header")) return false;
  return grid.key(event);
}

function actInPicture(key) {
  if (key === "x" || key === "m") return single.toggle() && true;
  if (key === "c") return single.pin() ?? true;
  if (key === "ArrowLeft" || key === "ArrowRight") return single.step(key === "ArrowLeft" ? -1 : 1) && true;
  return false;
}

async function begin() {
  try {
    Object.assign(view, await ask("view"));
  } catch (error) {
    find("title").textContent = "dermdata browse";
    showError(error.message);
    return;
  }
  find("title").textContent = clean(view.title);
  document.title = `${clean(view.title)} – dermdata browse`;
  find("sort").append(...view.sorts.flatMap((one) => [make("option", { value: one.name, text: one.title }), make("option", { value: `-${one.name}`, text: `${one.title}, reversed` })]));
  find("group").append(...view.groups.map((one) => make("option", { value: one.name, text: one.title })));
  find("confusion-open").hidden = !view.predictions;
  const sources = view.datasets.map((one) => `${one.title || one.name} (${one.license || "license not stated"})`).join("; ");
  find("about").textContent = clean(`${view.version}. ${sources}`);
  showMarks(view.exclusions);
  bindControls();
  readAddress();
  await refresh();
}

begin();
