// Who is connected, page by page, read again every few seconds while the page can be seen.

import { button, cell, make, Rows, say } from "./dom.js";
import { bitrate, count, path, seconds, since, size, UNKNOWN } from "./figures.js";
import { VARIANTS } from "./server.js";

const section = document.querySelector("#connections");
const PAGE = 25;
const EVERY = 3000; // milliseconds
const VERBS = { publish: "publishes", play: "plays" };

/** The table; `kick(id, name)` is what its buttons do. */
export class Connections {
  #desk;
  #offset = 0;
  #stream = null;
  #timer = null;
  #round = 0;
  #still = false;

  /** Milliseconds that the server's clock is ahead of ours. */
  ahead = 0;

  constructor(desk, kick) {
    this.#desk = desk;
    this.rows = new Rows(section, rowOf(kick));
    [this.told, this.pages] = [section.querySelector(".count"), section.querySelector("nav")];
    [this.earlier, this.later] = this.pages.querySelectorAll("button");
    this.everybody = section.querySelector("#everybody");
    this.variant = section.querySelector("#variant");
    this.variant.append(...VARIANTS.map((each) => new Option(each.toUpperCase(), each)));
    this.variant.addEventListener("change", () => this.#turn(0));
    this.earlier.addEventListener("click", () => this.#turn(this.#offset - PAGE));
    this.later.addEventListener("click", () => this.#turn(this.#offset + PAGE));
    this.everybody.addEventListener("click", () => this.of(null));
    document.addEventListener("visibilitychange", () => this.refresh());
  }

  /** Of one stream, or of all: null. */
  of(stream) {
    this.#stream = stream;
    this.everybody.hidden = stream === null;
    this.variant.closest("label").hidden = stream !== null;
    const title = section.querySelector("h2");
    say(title, stream === null ? "Connections" : `Connected to ${path(stream)}`);
    title.focus();
    this.#turn(0);
  }

  /** Whether it is read again by itself. */
  set still(on) {
    this.#still = on;
    if (on) clearTimeout(this.#timer);
    else this.refresh();
  }

  /** Read again, now and from time to time. */
  async refresh() {
    clearTimeout(this.#timer);
    const round = (this.#round += 1);
    if (document.hidden) return;
    try {
      const page = await this.#read();
      if (round !== this.#round) return;
      this.#show(page);
    } catch (error) {
      if (round !== this.#round) return;
      if (error.status === 401) return; // whoever logs in reads again
      if (error.status === 404) this.rows.show([]); // the stream is gone
      say(this.told, error.message);
    }
    if (round !== this.#round || this.#still) return;
    this.#timer = setTimeout(() => this.refresh(), EVERY);
  }

  #turn(offset) {
    this.#offset = Math.max(0, offset);
    this.refresh();
  }

  async #read() {
    const page = `offset=${this.#offset}&limit=${PAGE}`;
    if (this.#stream === null) {
      const variant = this.variant.value ? `&variant=${this.variant.value}` : "";
      return this.#desk.get(`connections?${page}${variant}`);
    }
    const viewers = await this.#desk.get(`streams/${this.#stream.id}/viewers?${page}`);
    const { publisher } = await this.#desk.get(`streams/${this.#stream.id}`);
    if (publisher === null || this.#offset > 0) return viewers;
    const first = await this.#desk.get(`connections/${publisher}`);
    return { ...viewers, items: [first, ...viewers.items], more: 1 };
  }

  #show({ items, total, offset, limit, more = 0 }) {
    if (offset > 0 && offset >= total) return this.#turn(Math.floor((total - 1) / limit) * limit);
    this.rows.show(items, Date.now() + this.ahead);
    const last = Math.min(offset + limit, total);
    say(this.told, total + more ? `${count(total + more)}` : "");
    const part = `${count(offset + 1)} to ${count(last)} of ${count(total)}`;
    say(this.pages.querySelector("span"), part);
    this.pages.hidden = total <= limit;
    const focused = document.activeElement;
    this.earlier.disabled = offset === 0;
    this.later.disabled = last >= total;
    if (focused === this.earlier && focused.disabled) this.later.focus();
    if (focused === this.later && focused.disabled) this.earlier.focus();
  }
}

function rowOf(kick) {
  return class {
    constructor({ id }) {
      const title = make("th", "", `#${id}`);
      title.setAttribute("role", "rowheader");
      title.scope = "row";
      this.variant = cell("Variant");
      this.address = cell("Address");
      this.does = cell("Does");
      this.agent = cell("Program");
      this.since = cell("For");
      this.in = cell("In");
      this.out = cell("Out");
      this.waiting = cell("Waiting");
      this.trip = cell("Round trip");
      this.agent.className = this.does.className = "long";
      const who = button("Kick", `#${id}`, () => kick(id, this.name));
      who.className = "grave";
      const doing = cell("Actions", who);
      doing.className = "do";
      this.node = make("tr");
      this.node.append(
        title, this.variant, this.address, this.does, this.agent, this.since,
        this.in, this.out, this.waiting, this.trip, doing,
      );
    }

    show(connection, now) {
      say(this.variant, connection.variant.toUpperCase());
      say(this.address, connection.address);
      this.name = connection.uses.map((use) => `${VERBS[use.action]} ${use.name}`).join(", ");
      say(this.does, this.name || connection.state);
      say(this.agent, connection.agent ?? UNKNOWN);
      say(this.since, since(connection.since, now));
      say(this.in, bitrate(connection.bitrate_in.over_10s));
      say(this.out, bitrate(connection.bitrate_out.over_10s));
      say(this.waiting, connection.waiting ? size(connection.waiting) : UNKNOWN);
      say(this.trip, seconds(connection.round_trip));
    }
  };
}
