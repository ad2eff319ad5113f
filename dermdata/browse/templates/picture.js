// One picture with all that is known of it: fields, masks, its lesion's and patient's others, near duplicates beside it.

import { ask, clean, find, image, make, mask, view } from "./state.js";
import { picture as small } from "./grid.js";

const SPLIT_NOTE = "in another part of the split";

export class PictureView {
  constructor(grid, actions) {
    this.grid = grid;
    this.actions = actions;
    this.dialog = find("picture");
    this.shown = find("shown");
    find("picture-close").addEventListener("click", () => this.dialog.close());
    find("previous").addEventListener("click", () => this.step(-1));
    find("next").addEventListener("click", () => this.step(1));
    find("picture-mark").addEventListener("click", () => this.toggle());
    find("picture-pin").addEventListener("click", () => this.pin());
    this.pinned = null; // the picture that others are compared with
    this.beside = null; // the one that is shown beside this one, with the words below it
    find("mask").addEventListener("change", () => this.showMask());
    find("opacity").addEventListener("input", () => this.setOpacity());
    this.dialog.addEventListener("close", () => this.grid.move(this.index ?? this.grid.active));
    this.dialog.addEventListener("click", (event) => event.target === this.dialog && this.dialog.close());
  }

  get isOpen() {
    return this.dialog.open;
  }

  async open(index) {
    const item = await this.grid.item(index);
    if (!item) return;
    this.index = index;
    await this.show(item.row);
  }

  async step(by) {
    if (this.index === null) return;
    const wanted = this.index + by;
    if (wanted < 0 || wanted >= this.grid.total) return;
    await this.open(wanted);
  }

  /** Show a row; one that is not in the grid has no neighbors there. */
  async show(row) {
    this.row = row;
    let said;
    try {
      said = await ask(`picture/${row}`);
    } catch (error) {
      this.actions.fail(error);
      return;
    }
    if (this.row !== row) return; // another one was asked for meanwhile
    this.said = said;
    this.beside = null;
    find("picture-title").textContent = clean(said.title || "no diagnosis");
    this.fillMasks(said);
    this.fillPrediction(said);
    this.redraw();
    this.showMark(said.marked);
    find("previous").disabled = !this.index;
    find("next").disabled = this.index === null || this.index >= this.grid.total - 1;
    if (!this.dialog.open) this.dialog.showModal();
    this.dialog.querySelector(".body").scrollTop = 0;
  }

  /** The pictures, the strips and the fields anew, as blurred as they are to be. */
  redraw() {
    if (!this.said) return;
    const other = this.beside ?? (this.pinned && this.pinned.row !== this.said.row ? this.pinned : null);
    const figures = [this.said, other].filter(Boolean).map((one) => this.figure(one, [one.key, one.split, one.note].filter(Boolean).join(" · ")));
    this.shown.replaceChildren(...figures);
    this.showMask();
    this.fillStrips(this.said);
    this.fillFields(other?.fields ? other : null);
    const pin = find("picture-pin");
    pin.setAttribute("aria-pressed", String(this.pinned?.row === this.said.row));
  }

  /** Keep this picture to compare others with, or let it go. */
  pin() {
    this.pinned = this.pinned?.row === this.said.row ? null : this.said;
    this.redraw();
  }

  fillFields(other) {
    const there = new Map((other?.fields ?? []).map((field) => [field.name, field.value]));
    const lines = this.said.fields.map((field) => this.fieldLine(field, other, there.get(field.name)));
    const own = new Set(this.said.fields.map((field) => field.name));
    const missing = (other?.fields ?? []).filter((field) => !own.has(field.name)).map((field) => this.fieldLine({ ...field, value: "–" }, other, field.value));
    find("fields").replaceChildren(...lines, ...missing);
    find("fields-title").textContent = clean(other ? `All fields, and where ${other.image_id} differs` : "All fields");
  }

  figure(item, words) {
    const blurred = this.grid.isBlurred(item);
    const frame = make("span", { class: blurred ? "large blurred" : "large" });
    if (item.problem === "no image file") frame.append(make("span", { class: "none", text: item.problem }));
    else {
      const shown = make("img", { alt: `${item.title || "no diagnosis"}, ${item.image_id}` });
      shown.addEventListener("error", async () => {
        const why = await fetch(shown.src).then((answer) => answer.json()).then((told) => told.error.message, () => "cannot be shown");
        shown.replaceWith(make("span", { class: "none", text: why }));
      });
      shown.src = image(item.row);
      frame.append(shown);
    }
    const figure = make("figure", {}, frame, make("figcaption", { text: words }));
    if (blurred) {
      const reveal = make("button", { type: "button", class: "reveal", text: "Sensitive picture: show it" });
      reveal.addEventListener("click", () => {
        this.grid.revealed.add(item.row);
        frame.classList.remove("blurred");
        reveal.remove();
      });
      frame.append(reveal);
    }
    return figure;
  }

  fieldLine(field, other, value) {
    const said = make("dd", { text: field.value });
    const differs = other && value !== field.value;
    if (differs) said.append(make("span", { class: "other", text: `${other.image_id}: ${value ?? "–"}` }));
    return make("div", { class: differs ? "differs" : "" }, make("dt", { text: field.name, title: field.note || undefined }), said);
  }

  // ---------------------------------------------------------------- masks

  fillMasks(said) {
    find("overlays").hidden = !said.masks.length;
    const choices = said.masks.map((one) => make("option", { value: String(one.number), text: one.title }));
    find("mask").replaceChildren(make("option", { value: "", text: "none" }), ...choices);
    find("mask").value = "";
  }

  showMask() {
    this.shown.querySelector(".overlay")?.remove();
    const chosen = find("mask").value;
    if (chosen === "") return;
    const overlay = make("img", { class: "overlay", alt: "" });
    overlay.addEventListener("error", async () => {
      const why = await fetch(overlay.src).then((answer) => answer.json()).then((told) => told.error.message, () => "cannot be shown");
      overlay.remove();
      this.actions.fail(new Error(why));
    });
    overlay.src = mask(this.row, chosen);
    this.shown.querySelector(".large").append(overlay);
    this.setOpacity();
  }

  setOpacity() {
    const overlay = this.shown.querySelector(".overlay");
    if (overlay) overlay.style.opacity = String(find("opacity").value / 100);
  }

  // ---------------------------------------------------------------- prediction and others

  fillPrediction(said) {
    find("prediction").hidden = !said.predicted;
    if (!said.predicted) return;
    const lines = said.probabilities.length ? said.probabilities.slice(0, 8) : [{ class: said.predicted, probability: null }];
    find("probabilities").replaceChildren(...lines.map((one) => this.probabilityLine(one, said)));
  }

  probabilityLine(one, said) {
    const words = [one.class === said.truth ? "the true class" : "", one.class === said.predicted ? "predicted" : ""].filter(Boolean);
    const line = make("li", {}, make("span", { text: one.class }), make("b", { text: one.probability === null ? "" : one.probability.toFixed(3) }));
    if (words.length) line.append(make("em", { class: said.wrong ? "wrong" : "", text: words.join(", ") }));
    return line;
  }

  fillStrips(said) {
    for (const name of ["lesion", "patient"]) this.fillStrip(name, said[name], () => "");
    this.fillStrip("near", said.near, (one) => (one.distance ? `${one.how}, ${one.distance} of 64 bits` : one.how));
    find("near-part").hidden = false;
    const leaks = said.near.filter((one) => one.split && said.split && one.split !== said.split).length;
    find("near-title").textContent = leaks ? "Near duplicates: a leak between parts of the split" : "Near duplicates";
    find("near-note").textContent = nearNote(said);
  }

  fillStrip(name, items, note) {
    find(`${name}-part`).hidden = !items.length;
    find(name).replaceChildren(...items.map((one) => this.stripTile(one, note(one), name === "near")));
  }

  stripTile(item, note, compare) {
    const open = make("button", { type: "button", class: "open", "aria-label": `Open ${item.image_id}, ${item.title}` });
    open.append(small(item, this.grid.isBlurred(item)));
    open.addEventListener("click", () => {
      this.index = null;
      this.show(item.row);
    });
    const leak = item.split && this.said.split && item.split !== this.said.split;
    const words = make("span", { class: "caption" }, make("span", { class: "title", text: item.title || "no diagnosis" }));
    words.append(make("span", { class: "id", text: item.image_id }));
    if (note) words.append(make("span", { class: "id", text: note }));
    if (item.split) words.append(make("span", { class: leak ? "leak" : "id", text: leak ? `${item.split}: ${SPLIT_NOTE}` : item.split }));
    const tile = make("li", { class: item.marked ? "marked" : "" }, open, words);
    if (compare) {
      const beside = make("button", { type: "button", class: "beside", text: "Side by side", "aria-label": `Side by side with ${clean(item.image_id)}` });
      beside.addEventListener("click", () => this.compare(item, note));
      tile.append(beside);
    }
    const mark = make("button", { type: "button", class: "beside", text: item.marked ? "Unmark" : "Mark", "aria-label": `${item.marked ? "Unmark" : "Mark"} ${clean(item.image_id)}` });
    mark.addEventListener("click", async () => {
      if (!(await this.actions.mark([item], !item.marked))) return;
      mark.textContent = item.marked ? "Unmark" : "Mark";
      tile.classList.toggle("marked", item.marked);
    });
    tile.append(mark);
    return tile;
  }

  /** A near duplicate beside this picture, with its fields where they differ. */
  async compare(item, note) {
    const row = this.row;
    try {
      const said = await ask(`picture/${item.row}`);
      if (this.row !== row) return;
      this.beside = { ...said, note };
      this.redraw();
      this.dialog.querySelector(".body").scrollTop = 0;
    } catch (error) {
      this.actions.fail(error);
    }
  }

  // ---------------------------------------------------------------- marks

  async toggle() {
    const said = this.said;
    if (await this.actions.mark([said], !said.marked)) this.showMark(said.marked);
  }

  showMark(marked) {
    const button = find("picture-mark");
    button.setAttribute("aria-pressed", String(marked));
    button.textContent = marked ? "Marked" : "Mark";
  }
}

function nearNote(said) {
  if (said.near_state !== "done") return "This picture has no perceptual hash, so only the same bytes were looked for.";
  if (!said.near.length) return `None among ${view.rows.toLocaleString("en-US")} pictures.`;
  return "By their hashes alone, turned and mirrored ones too: look before you judge. `dermdata audit --near` compares the pixels.";
}
