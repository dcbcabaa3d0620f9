// Small hands for the page. Text goes in as text: names of streams come from strangers.

/** An element with a class and children; strings are text. */
export function make(tag, name = "", ...children) {
  const node = document.createElement(tag);
  if (name) node.className = name;
  node.append(...children);
  return node;
}

/** Say something else, if it is something else. */
export function say(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** A button; `about` says to what, for those who do not see where it stands. */
export function button(words, about, press) {
  const node = make("button", "", words, make("span", "hidden", ` ${about}`));
  node.type = "button";
  node.addEventListener("click", press);
  return node;
}

/** A cell of a table that is a list of cards on small screens, where `label` stands before it. */
export function cell(label, ...children) {
  const node = make("td", "", ...children);
  node.setAttribute("role", "cell");
  node.dataset.label = label;
  return node;
}

const STAY = { preventScroll: true };

/** Rows that stay what they are while their figures change; so focus stays, too. */
export class Rows {
  #rows = new Map();
  #body;
  #table;
  #home;

  /** `Row`: a class with `node` and `show(item)`. */
  constructor(section, Row) {
    this.Row = Row;
    this.#table = section.querySelector("table.list");
    this.#body = this.#table.querySelector("tbody");
    this.#home = section.querySelector("h2");
    this.none = section.querySelector(".none");
  }

  /** These, in their order; `id` tells them apart. */
  show(items, ...more) {
    this.#removeAllBut(new Set(items.map((item) => item.id)));
    const focused = document.activeElement;
    let place = this.#body.firstElementChild;
    for (const item of items) {
      let row = this.#rows.get(item.id);
      if (row === undefined) {
        row = new this.Row(item);
        row.node.setAttribute("role", "row");
        this.#rows.set(item.id, row);
      }
      row.show(item, ...more);
      if (row.node === place) place = place.nextElementSibling;
      else this.#body.insertBefore(row.node, place);
    }
    if (focused !== document.activeElement && focused.isConnected) focused.focus(STAY);
    this.#table.hidden = this.#rows.size === 0;
    this.none.hidden = this.#rows.size > 0;
  }

  #removeAllBut(ids) {
    for (const [id, { node }] of this.#rows) {
      if (ids.has(id)) continue;
      if (node.contains(document.activeElement)) this.#home.focus(STAY);
      node.remove();
      this.#rows.delete(id);
    }
  }
}
