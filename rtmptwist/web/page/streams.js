// What is on air: a row for each stream.

import { ask } from "./confirm.js";
import { button, cell, make, Rows, say } from "./dom.js";
import { bitrate, count, path, seconds, since, UNKNOWN, video } from "./figures.js";
import { Spark } from "./spark.js";

const section = document.querySelector("#streams");
const STATES = { grace: "waits for its publisher", idle: "not on air" };

/** The table; `acts` has what buttons do: `watch`, `connections`, `kick`, `close`. */
export function streamsTable(acts) {
  class Row {
    constructor(stream) {
      this.name = path(stream);
      this.stream = stream;
      this.node = make("tr");
      this.state = make("span", "badge");
      this.troubles = make("span", "troubles");
      const title = make("th", "name", make("span", "path", this.name), this.state, this.troubles);
      title.setAttribute("role", "rowheader");
      title.scope = "row";
      this.sparks = { bitrate: new Spark(), viewers: new Spark() };
      [this.bitrate, this.viewers] = [make("span", "figure"), make("span", "figure")];
      this.lagging = make("span", "badge warn");
      this.video = cell("Video");
      this.interval = cell("Key frames");
      this.audio = cell("Audio");
      this.publisher = cell("Publisher");
      this.node.append(
        title,
        cell("Bitrate", this.bitrate, this.sparks.bitrate.node),
        cell("Viewers", this.viewers, this.sparks.viewers.node, this.lagging),
        this.video, this.interval, this.audio, this.publisher, this.#buttons(),
      );
    }

    #buttons() {
      const { name } = this;
      const watch = button("Watch", name, () => acts.watch(this.stream, watch));
      const who = button("Who", `is connected to ${name}`, () => acts.connections(this.stream));
      this.kick = button("Kick", `the publisher of ${name}`, () => {
        acts.kick(this.stream.publisher, name);
      });
      this.close = button("Close", name, () => {
        ask(closing(name), (reason) => acts.close(this.stream, reason));
      });
      this.kick.className = this.close.className = "grave";
      const buttons = cell("Actions", watch, who, this.kick, this.close);
      buttons.className = "do";
      return buttons;
    }

    show(stream, { second, now }) {
      this.stream = stream;
      this.sparks.bitrate.add(second, stream.bitrate);
      this.sparks.viewers.add(second, stream.viewers);
      say(this.bitrate, bitrate(stream.bitrate));
      say(this.viewers, count(stream.viewers));
      say(this.lagging, stream.lagging ? `${count(stream.lagging)} lagging` : "");
      say(this.state, STATES[stream.state] ?? "");
      this.state.className = `badge ${stream.state === "grace" ? "warn" : ""}`;
      say(this.troubles, stream.warnings.map((each) => each.words).join("; "));
      say(this.video, video(stream));
      say(this.interval, seconds(stream.keyframe_interval));
      say(this.audio, stream.audio ?? UNKNOWN);
      say(this.publisher, stream.publisher === null ? UNKNOWN : publisher(stream, now));
      this.kick.disabled = stream.publisher === null;
    }
  }

  const rows = new Rows(section, Row);
  const told = section.querySelector(".count");
  return {
    /** These, and how many there are besides; `now`: `second` of the page, `now` of the server. */
    show(streams, omitted, now) {
      rows.show([...streams].sort(byPath), now);
      const live = streams.filter((stream) => stream.state === "live").length;
      const rest = streams.length - live ? `, ${count(streams.length - live)} not` : "";
      const part = omitted ? `; ${count(omitted)} more, with fewer viewers` : "";
      say(told, streams.length ? `${count(live)} on air${rest}${part}` : "");
    },
  };
}

function byPath(one, other) {
  return path(one).localeCompare(path(other)) || (one.id < other.id ? -1 : 1);
}

function publisher({ publisher, variant, since: began }, now) {
  return `${variant.toUpperCase()} #${publisher} · ${since(began, now)}`;
}

function closing(name) {
  return {
    heading: `Close ${name}?`,
    text: "Its publisher and all its viewers are sent away. The publisher may come back.",
    verb: "Close the stream",
    takesReason: true,
  };
}
