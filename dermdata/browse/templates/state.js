// What is asked for, kept in the address so that it can be shared and gone back to; and the questions to the server.

const HIDDEN = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]/g;
const USUAL = { search: "", where: "", sort: "manifest", group: "", filters: {}, marked: "", cell: [] };

export const state = structuredClone(USUAL);
export const view = {};

/** Text of a stranger, with what cannot be seen or turns text around shown by its number. */
export function clean(text) {
  return String(text ?? "").replace(HIDDEN, (sign) => `\\u${sign.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

/** An element with text and children; attributes by their names, nothing as HTML. */
export function make(name, options = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(options)) {
    if (value === undefined || value === null || value === false) continue;
    if (key === "text") node.textContent = clean(value);
    else if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else node.setAttribute(key, value === true ? "" : clean(value));
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

export const find = (id) => document.getElementById(id);
export const number = (count) => count.toLocaleString("en-US");
export const plural = (count, noun) => `${number(count)} ${noun}${count === 1 ? "" : "s"}`;

/** The parameters of a question about the rows that are asked for. */
export function parameters(more = {}) {
  const asked = new URLSearchParams();
  for (const name of ["search", "where", "marked"]) if (state[name]) asked.set(name, state[name]);
  if (Object.keys(state.filters).length) asked.set("filters", JSON.stringify(state.filters));
  if (state.cell.length) asked.set("cell", JSON.stringify(state.cell));
  for (const [name, value] of Object.entries(more)) if (value) asked.set(name, value);
  return asked;
}

/** The answer to a question; an Error with the server's own words where there is none. */
export async function ask(path, asked, options = {}) {
  const query = asked ? `?${asked}` : "";
  let answer;
  try {
    answer = await fetch(`/api/${path}${query}`, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Error("dermdata does not answer any more: was it stopped?");
  }
  const said = await answer.json();
  if (!answer.ok) throw new Error([said.error.message, said.error.hint].filter(Boolean).join(" – "));
  return said;
}

export function post(path, content) {
  const options = { method: "POST", body: JSON.stringify(content), headers: { "Content-Type": "application/json" } };
  return ask(path, null, options);
}

export const thumb = (row) => `/thumb/${row}?v=${view.session}`;
export const image = (row) => `/image/${row}?v=${view.session}`;
export const mask = (row, place) => `/mask/${row}/${place}?v=${view.session}`;

/** The state as the address has it: only what is not usual. */
export function writeAddress(replace = false) {
  const said = {};
  for (const [name, value] of Object.entries(state)) {
    if (JSON.stringify(value) !== JSON.stringify(USUAL[name])) said[name] = value;
  }
  const hash = Object.keys(said).length ? `#${encodeURIComponent(JSON.stringify(said))}` : "";
  const address = location.pathname + hash;
  if (address === location.pathname + location.hash) return;
  history[replace ? "replaceState" : "pushState"](null, "", address);
}

/** Take the state from the address; what is no state of ours is left out. */
export function readAddress() {
  let said = {};
  try {
    said = JSON.parse(decodeURIComponent(location.hash.slice(1)) || "{}") ?? {};
  } catch {
    said = {}; // an address that somebody typed
  }
  Object.assign(state, structuredClone(USUAL));
  for (const name of Object.keys(USUAL)) {
    const value = said[name];
    if (value !== undefined && typeof value === typeof USUAL[name] && Array.isArray(value) === Array.isArray(USUAL[name])) {
      state[name] = value;
    }
  }
}

export function resetState() {
  const { sort, group } = state;
  Object.assign(state, structuredClone(USUAL), { sort, group });
}
