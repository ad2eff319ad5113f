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

async function refresh() {
  const mine = ++turn;
  find("grid").setAttribute("aria-busy", "true");
  const facets = ask("facets", parameters());
  try {
    const [total, counted] = await Promise.all([grid.load(), facets]);
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
  find("grid").hidden = total === 0;
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

function change() {
  writeAddress();
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
  const part = make("details", {}, make("summary", { text: facet.title }), list);
  if (shown.length < values.length) {
    const more = make("button", { type: "button", class: "more", text: `${plural(values.length - shown.length, "more value")}` });
    more.addEventListener("click", () => {
      whole.add(facet.name);
      part.replaceWith(facetPart(facet));
    });
    part.append(more);
  }
  part.open = opened.has(facet.name) || chosen.length > 0;
  part.addEventListener("toggle", () => (part.open ? opened.add(facet.name) : opened.delete(facet.name)));
  return part;
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

async function mark(items, marked, again = false) {
  const rows = items.map((item) => item.row);
  try {
    const said = await post("marks", { rows, marked, issue: find("issue").value });
    grid.setMarked(rows, marked);
    showMarks(said);
    if (!again) undoable.push({ items, marked });
    toast(`${plural(rows.length, "picture")} ${marked ? "marked" : "unmarked"}`, !again);
  } catch (error) {
    fail(error);
    throw error;
  }
}

async function undo() {
  const last = undoable.pop();
  if (last) await mark(last.items, !last.marked, true);
}

function showMarks(said) {
  view.exclusions = said;
  find("marked").textContent = `${number(said.count)} marked`;
  find("list-path").textContent = clean(said.path);
}

async function markAll() {
  const items = [];
  for (let index = 0; index < grid.total; index += 1) items.push(await grid.item(index));
  await mark(items.filter((item) => item && !item.marked), true);
}

let fading;

function toast(words, canUndo = false) {
  find("toast-text").textContent = clean(words);
  find("undo").hidden = !canUndo;
  find("toast").hidden = false;
  clearTimeout(fading);
  fading = setTimeout(() => (find("toast").hidden = true), 6000);
}

// ------------------------------------------------------------------ the confusion matrix

async function openMatrix() {
  state.cell = [];
  let said;
  try {
    said = await ask("confusion", parameters());
  } catch (error) {
    fail(error);
    return;
  }
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
  find("confusion").showModal();
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
  find("blur").setAttribute("aria-pressed", String(on));
}

function setDrawer(on) {
  document.body.classList.toggle("drawer", on);
  find("facets-open").setAttribute("aria-expanded", String(on));
}

function bindControls() {
  const typed = later(() => {
    state.search = find("search").value;
    state.where = find("where").value;
    change();
  });
  for (const name of ["search", "where"]) find(name).addEventListener("input", typed);
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
  if (event.ctrlKey || event.metaKey || event.altKey || typing) return;
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
