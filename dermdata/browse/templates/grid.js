// The grid: only the tiles on and near the screen exist. Rows are asked for a page at a time.

import { ask, clean, find, make, parameters, state, thumb } from "./state.js";

const PAGE = 200; // rows of one question
const GAP = 8; // pixels
const CAPTION = 44; // pixels below a picture
const TALLEST = 6_000_000; // pixels: browsers end higher elements at some 16 million
const AHEAD = 1.5; // screens that are made before they are seen
const LEAP = 3; // screens: a longer scroll jumps, a shorter one moves by its pixels

export class Grid {
  constructor(actions) {
    this.actions = actions; // open(index), mark(items, marked), shown()
    this.box = find("grid");
    this.room = find("room");
    this.list = find("tiles");
    this.tiles = new Map();
    this.revealed = new Set();
    this.blur = true;
    this.size = 150;
    this.active = 0;
    this.wanted = null; // the tile that gets the focus as soon as it is filled
    this.reset(0);
    this.box.addEventListener("scroll", () => this.follow(), { passive: true });
    document.addEventListener("focusin", () => (this.wanted = null));
    new ResizeObserver(() => this.measure()).observe(this.box);
  }

  reset(total) {
    this.abort?.abort();
    this.abort = new AbortController();
    this.pages = new Map();
    this.items = new Map();
    this.total = total;
    this.top = 0;
    this.last = 0;
    this.active = 0;
    this.box.scrollTop = 0;
    for (const tile of this.tiles.values()) tile.remove();
    this.tiles.clear();
  }

  /** Show what is asked for, from its start or where it is; what was shown stays until the answer is there. */
  async load(stay = false) {
    this.asking?.abort();
    this.asking = new AbortController();
    const asked = parameters({ sort: state.sort, group: state.group });
    const first = await this.ask(asked, 0, this.asking.signal);
    this.asked = asked; // of what is shown, whatever is asked for in vain from now on
    const place = stay ? [Math.floor(this.top / this.step) * this.columns, this.active] : [0, 0];
    const focused = this.list.contains(document.activeElement);
    this.reset(first.total);
    this.anchor = undefined;
    this.take(first);
    this.pages.set(0, Promise.resolve(first));
    this.box.hidden = first.total === 0; // what is hidden has no size
    this.measure();
    if (stay && first.total) {
      const [top, active] = place.map((index) => Math.min(index, first.total - 1));
      this.active = active;
      if (focused) this.wanted = active;
      this.goTo(top, false);
    }
    return first.total;
  }

  ask(asked, number, signal) {
    const page = new URLSearchParams([...asked, ["start", String(number * PAGE)], ["count", String(PAGE)]]);
    return ask("rows", page, { signal });
  }

  take(said) {
    said.items.forEach((item, place) => this.items.set(said.start + place, item));
    return said;
  }

  page(number) {
    if (!this.pages.has(number)) {
      const answer = this.ask(this.asked, number, this.abort.signal).then((said) => this.take(said));
      answer.catch(() => this.pages.delete(number));
      this.pages.set(number, answer);
    }
    return this.pages.get(number);
  }

  async item(index) {
    if (index < 0 || index >= this.total) return null;
    if (!this.items.has(index)) await this.page(Math.floor(index / PAGE));
    return this.items.get(index) ?? null;
  }

  measure() {
    const width = this.box.clientWidth - GAP;
    if (width <= 0) return;
    const first = this.columns ? Math.floor(this.top / this.step) * this.columns : 0;
    this.columns = Math.max(2, Math.floor(width / (this.size + GAP)));
    this.wide = Math.floor(width / this.columns) - GAP;
    this.step = this.wide + CAPTION + GAP;
    this.height = Math.ceil(this.total / this.columns) * this.step + GAP;
    this.tall = Math.min(this.height, TALLEST);
    this.room.style.height = `${this.tall}px`;
    for (const tile of this.tiles.values()) tile.remove();
    this.tiles.clear();
    this.goTo(first, false);
  }

  /** How many pixels of the grid can be scrolled, and of the room that stands for it. */
  get ends() {
    const screen = this.box.clientHeight;
    return [Math.max(0, this.height - screen), Math.max(0, this.tall - screen)];
  }

  follow() {
    const [whole, shown] = this.ends;
    const at = this.box.scrollTop;
    const moved = at - this.last;
    this.last = at;
    if (this.height <= TALLEST || !shown) this.top = at;
    else if (Math.abs(moved) < this.box.clientHeight * LEAP) {
      this.top = Math.min(whole, Math.max(0, this.top + moved));
      this.recenter(at, whole, shown);
    } else if (at <= 0) this.top = 0;
    else if (at >= shown - 1) this.top = whole;
    else this.top = (at / shown) * whole;
    this.draw();
  }

  /** The room ends just where the grid does: small steps may have brought one of them there before the other. */
  recenter(at, whole, shown) {
    const roomEnds = at <= 0 || at >= shown - 1;
    const gridEnds = this.top <= 0 || this.top >= whole;
    if (roomEnds === gridEnds) return;
    const screen = this.box.clientHeight;
    if (gridEnds) this.box.scrollTop = this.top <= 0 ? 0 : shown;
    else this.box.scrollTop = Math.min(shown - screen, Math.max(screen, (this.top / whole) * shown));
    this.last = this.box.scrollTop;
  }

  /** Bring a row of tiles into view. */
  goTo(index, center = true) {
    const [whole, shown] = this.ends;
    const line = Math.floor(index / this.columns) * this.step;
    const screen = this.box.clientHeight;
    const wanted = center ? line - (screen - this.step) / 2 : line;
    this.top = Math.min(whole, Math.max(0, wanted));
    this.box.scrollTop = this.height <= TALLEST ? this.top : (this.top / (whole || 1)) * shown;
    this.last = this.box.scrollTop;
    this.draw();
  }

  draw() {
    const screen = this.box.clientHeight;
    const from = Math.max(0, Math.floor((this.top - screen * AHEAD) / this.step)) * this.columns;
    const to = Math.min(this.total, Math.ceil((this.top + screen * (1 + AHEAD)) / this.step) * this.columns);
    for (const [index, tile] of this.tiles) {
      if (index < from || index >= to) {
        tile.remove();
        this.tiles.delete(index);
      }
    }
    const shift = this.box.scrollTop - this.top;
    let before = null; // tiles stand in their order, for Tab and for those who cannot see the grid
    for (let index = from; index < to; index += 1) {
      let tile = this.tiles.get(index);
      if (!tile) {
        tile = this.makeTile(index);
        this.tiles.set(index, tile);
        if (before) before.after(tile);
        else this.list.prepend(tile);
      }
      before = tile;
      const line = Math.floor(index / this.columns);
      const left = GAP + (index % this.columns) * (this.wide + GAP);
      tile.style.transform = `translate(${left}px, ${GAP + line * this.step + shift}px)`;
    }
    for (let page = Math.floor(from / PAGE); page * PAGE < to; page += 1) {
      this.page(page).then(
        () => this.fill(page),
        (error) => error.name === "AbortError" || this.actions.fail(error),
      );
    }
  }

  makeTile(index) {
    const tile = make("li", { class: "tile waiting", "aria-posinset": String(index + 1), "aria-setsize": String(this.total) });
    tile.style.width = `${this.wide}px`;
    tile.style.height = `${this.wide + CAPTION}px`;
    tile.index = index;
    if (this.items.has(index)) this.fillTile(tile, this.items.get(index));
    return tile;
  }

  fill(page) {
    for (let index = page * PAGE; index < (page + 1) * PAGE; index += 1) {
      const tile = this.tiles.get(index);
      if (tile?.classList.contains("waiting") && this.items.has(index)) this.fillTile(tile, this.items.get(index));
    }
  }

  fillTile(tile, item) {
    const index = tile.index;
    const name = [item.title || "no diagnosis", item.image_id, item.split, item.problem].filter(Boolean).join(", ");
    const open = make("button", { type: "button", class: "open", "aria-label": name, onclick: () => this.choose(index, true) });
    open.append(picture(item, this.isBlurred(item)));
    const mark = make("button", { type: "button", class: "mark", text: "✕", title: "Mark (x)", "aria-label": `Mark ${clean(item.image_id)}` });
    mark.addEventListener("click", (event) => this.toggle(index, event.shiftKey));
    const text = make("span", { class: "title", text: item.title || "no diagnosis" });
    const more = item.predicted && item.wrong ? `taken for ${item.predicted}` : item.image_id;
    tile.replaceChildren(open, mark, make("span", { class: "caption", title: `${item.title}\n${item.key}` }, text, make("span", { class: "id", text: more })));
    tile.classList.remove("waiting");
    tile.classList.toggle("wrong", Boolean(item.wrong));
    const before = this.items.get(index - 1);
    tile.classList.toggle("follows", Boolean(item.group && before && before.group === item.group));
    if (item.split) tile.append(make("span", { class: "part", text: item.split }));
    this.showMark(tile, item);
    this.setFocusable(tile, index === this.active);
    if (index === this.wanted) open.focus({ preventScroll: true });
  }

  showMark(tile, item) {
    tile.classList.toggle("marked", item.marked);
    tile.querySelector(".mark")?.setAttribute("aria-pressed", String(item.marked));
  }

  setFocusable(tile, on) {
    for (const button of tile.querySelectorAll("button")) button.tabIndex = on ? 0 : -1;
  }

  isBlurred(item) {
    return this.blur && item.blur && !this.revealed.has(item.row);
  }

  setBlur(on) {
    const held = this.box.contains(document.activeElement);
    this.blur = on;
    this.revealed.clear();
    for (const tile of this.tiles.values()) {
      const item = this.items.get(tile.index);
      if (item) this.fillTile(tile, item);
    }
    if (held) this.move(this.active); // the tile that had the focus was made anew
  }

  setSize(size) {
    this.size = size;
    this.measure();
  }

  /** Make a picture the active one; open it, or show it where it is blurred. */
  choose(index, open = false) {
    const item = this.items.get(index);
    this.move(index, false);
    if (!open || !item) return;
    if (this.isBlurred(item)) {
      this.revealed.add(item.row);
      this.fillTile(this.tiles.get(index), item);
      this.tiles.get(index).querySelector(".open").focus();
    } else this.actions.open(index);
  }

  move(index, focus = true) {
    const wanted = Math.min(this.total - 1, Math.max(0, index));
    const old = this.tiles.get(this.active);
    if (old) this.setFocusable(old, false);
    this.active = wanted;
    const line = Math.floor(wanted / this.columns) * this.step;
    if (line < this.top || line + this.step > this.top + this.box.clientHeight) this.goTo(wanted);
    const tile = this.tiles.get(wanted);
    if (!tile) return;
    this.setFocusable(tile, true);
    if (!focus) return;
    const open = tile.querySelector(".open");
    if (open) open.focus({ preventScroll: true });
    else {
      this.box.focus({ preventScroll: true }); // until the tile is filled
      this.wanted = wanted;
    }
  }

  key(event) {
    const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -this.columns, ArrowDown: this.columns };
    const screens = Math.max(1, Math.floor(this.box.clientHeight / this.step)) * this.columns;
    const leaps = { Home: -this.total, End: this.total, PageUp: -screens, PageDown: screens };
    const by = steps[event.key] ?? leaps[event.key];
    if (by === undefined || !this.total) return false;
    this.move(this.active + by);
    return true;
  }

  /** Mark a picture, or take its mark away; with `range` all from the last one to it, those that are not loaded too. */
  async toggle(index, range = false) {
    const item = this.items.get(index);
    if (!item) return;
    const marked = !item.marked;
    const start = range && this.anchor !== undefined ? this.anchor : index;
    this.anchor = index;
    this.move(index, false);
    try {
      this.actions.mark(await this.between(Math.min(start, index), Math.max(start, index)), marked);
    } catch (error) {
      if (error.name !== "AbortError") this.actions.fail(error);
    }
  }

  async between(first, end) {
    const pages = [];
    for (let number = Math.floor(first / PAGE); number * PAGE <= end; number += 1) pages.push(this.page(number));
    await Promise.all(pages);
    const items = [];
    for (let one = first; one <= end; one += 1) if (this.items.has(one)) items.push(this.items.get(one));
    return items;
  }

  /** Show anew which rows are marked. */
  setMarked(rows, marked) {
    const wanted = new Set(rows);
    for (const item of this.items.values()) if (wanted.has(item.row)) item.marked = marked;
    for (const tile of this.tiles.values()) {
      const item = this.items.get(tile.index);
      if (item) this.showMark(tile, item);
    }
  }
}

/** A small picture, or why there is none. */
export function picture(item, blurred) {
  const frame = make("span", { class: blurred ? "frame blurred" : "frame" });
  if (item.problem === "no image file") {
    frame.append(make("span", { class: "none", text: item.problem }));
    return frame;
  }
  const shown = make("img", { alt: "", draggable: "false", decoding: "async" });
  shown.addEventListener("error", async () => {
    const why = await fetch(shown.src).then((answer) => answer.json()).then((said) => said.error.message, () => "cannot be shown");
    shown.replaceWith(make("span", { class: "none", text: why }));
  });
  shown.src = thumb(item.row);
  frame.append(shown);
  if (blurred) frame.append(make("span", { class: "hint", text: "sensitive: show" }));
  if (item.problem) frame.append(make("span", { class: "problem", text: item.problem }));
  return frame;
}
