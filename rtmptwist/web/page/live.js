// What happens at the server, as it happens: Server-Sent Events, read by hand, for a token goes in
// a header and never in an address.

import { Refusal } from "./desk.js";

const SILENCE = 20_000; // milliseconds without a byte: the connection is dead
const SILENT = "Nothing came for 20 seconds.";
const WAITS = [1, 2, 3, 5, 10]; // seconds before the next try

export class Live {
  #desk;
  #path;
  #abort = null;
  #timer = null;
  #tries = 0;
  #last = "0"; // the first time, all that the server still knows

  /**
   * `hear(name, value)` gets events, `open()` is called when they begin, and `lost(words, wait)`
   * when they have ended; `wait` is in seconds, null if it is not tried again.
   */
  constructor(desk, path, { hear, open, lost }) {
    this.#desk = desk;
    this.#path = path;
    this.hear = hear;
    this.open = open;
    this.lost = lost;
  }

  /** Begin, or try again now. */
  start() {
    clearTimeout(this.#timer);
    this.#abort?.abort();
    const abort = (this.#abort = new AbortController());
    this.#run(abort).then(
      () => this.#ended(abort),
      (error) => this.#again(abort, error),
    );
  }

  /** The server stops, or the login is none any more: that is said when we come back. */
  #ended(abort) {
    const again = this.#tries > 0 || this.#abort !== abort;
    if (again) return this.#again(abort, new Refusal(0, "The server has ended it."));
    this.#tries = 1;
    this.#timer = setTimeout(() => this.start(), 250);
  }

  #again(abort, error) {
    if (this.#abort !== abort) return; // begun anew meanwhile
    this.#abort = null;
    const words = error instanceof Refusal ? error.message : "The connection broke.";
    if (error.status === 401) return this.lost(words, null);
    const wait = WAITS[Math.min(this.#tries, WAITS.length - 1)];
    this.#tries += 1;
    // not all pages of a server that comes back at the same moment
    this.#timer = setTimeout(() => this.start(), wait * (800 + Math.random() * 400));
    this.lost(words, wait);
  }

  async #run(abort) {
    let watch = null;
    const alive = () => {
      clearTimeout(watch);
      watch = setTimeout(() => abort.abort(new Refusal(0, SILENT)), SILENCE);
    };
    alive();
    try {
      const answer = await this.#desk.open(this.#path, this.#last, abort.signal);
      const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
      this.open();
      const hear = (name, value) => {
        this.#tries = 0;
        this.hear(name, value);
      };
      const parse = parser(hear, (id) => (this.#last = id));
      for (;;) {
        const { value, done } = await reader.read();
        if (done) return;
        alive();
        parse(value);
      }
    } finally {
      clearTimeout(watch);
      abort.abort();
    }
  }
}

/** Lines of an event stream to events, whatever pieces they come in; `read` gets their numbers. */
export function parser(hear, read) {
  let rest = "";
  let name = "message";
  let data = [];
  return (text) => {
    const lines = (rest + text).split(/\r\n|\n|\r(?!$)/);
    rest = lines.pop();
    for (const line of lines) {
      if (line === "") {
        if (data.length) hear(name, JSON.parse(data.join("\n")));
        name = "message";
        data = [];
        continue;
      }
      const [, field, value] = /^([^:]*):? ?(.*)$/s.exec(line);
      if (field === "data") data.push(value);
      else if (field === "event") name = value;
      else if (field === "id") read(value);
    }
  };
}
