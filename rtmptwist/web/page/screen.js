// The panel in which one stream is watched.

import { say } from "./dom.js";
import { path } from "./figures.js";
import { Player } from "./player.js";

const section = document.querySelector("#screen");
const [title, words] = ["h2", "[role=status]"].map((each) => section.querySelector(each));
const canvas = section.querySelector("canvas");
const [sound, stop] = section.querySelectorAll("button");

/** The panel; `watch(stream, from)` opens it, and the focus goes back to `from` at its end. */
export function screen(desk) {
  const player = new Player(desk, canvas, (text) => say(words, text));
  let home = null;

  sound.addEventListener("click", () => {
    const on = sound.getAttribute("aria-pressed") !== "true";
    sound.setAttribute("aria-pressed", on);
    player.loud = on;
  });
  stop.addEventListener("click", () => {
    player.stop();
    section.hidden = true;
    (home?.isConnected ? home : document.querySelector("#streams-title")).focus();
  });

  return function watch(stream, from) {
    home = from;
    section.hidden = false;
    say(title, `Watching ${path(stream)}`);
    canvas.setAttribute("aria-label", `The picture of ${path(stream)}`);
    title.focus();
    player.play(stream.id);
  };
}
