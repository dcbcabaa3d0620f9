// What suffers, and why: the newest first. What goes on stays until it ends.

import { make, say } from "./dom.js";
import { clock, path } from "./figures.js";

const MOST = 50;

const section = document.querySelector("#warnings");
const list = section.querySelector("ol");
const scroller = section.querySelector("[role=log]");
const none = section.querySelector(".none");
const forget = section.querySelector("#forget");
const begun = new Map();

/** A warning: one that begins, one that ends, or one that is over as soon as it is told. */
export function warn(event) {
  const about = event.name ? path(event) : (event.peer ?? event.application ?? "server");
  const key = keyOf(event.stream ?? about, event.code);
  const item = begun.get(key);
  if (event.turn === "end") {
    if (item !== undefined) finish(key, event.time);
    return;
  }
  if (item !== undefined) {
    say(item.querySelector(".words"), event.words);
    return;
  }
  const when = make("time", "quiet", clock(new Date(event.time)));
  when.dateTime = event.time;
  const node = make("li", "", when, " ", make("strong", "path", about), " ");
  node.append(make("span", "words", event.words), " ", make("span", "quiet end"));
  if (event.turn === "begin") {
    node.classList.add("on");
    begun.set(key, node);
  }
  list.prepend(node);
  while (list.childElementCount > MOST) list.lastElementChild.remove();
  showWarnings();
}

/** Those in force are these of the streams; who was told of others has missed their end. */
export function keepWarnings(streams, omitted, time) {
  const inForce = new Set();
  for (const { id, warnings } of streams) {
    for (const { code } of warnings) inForce.add(keyOf(id, code));
  }
  for (const key of begun.keys()) if (!inForce.has(key) && !omitted) finish(key, time);
}

const keyOf = (id, code) => `${id} ${code}`;

function finish(key, time) {
  const item = begun.get(key);
  begun.delete(key);
  item.classList.remove("on");
  say(item.querySelector(".end"), `until ${clock(new Date(time))}`);
}

/** That there are none is known now, too. */
export function showWarnings() {
  const any = list.childElementCount > 0;
  none.hidden = any;
  forget.hidden = !any;
  scroller.tabIndex = any ? 0 : -1; // for who scrolls by keys
}

forget.addEventListener("click", () => {
  list.replaceChildren();
  begun.clear();
  showWarnings();
  section.querySelector("h2").focus();
});
