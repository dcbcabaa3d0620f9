// The server in one line, and its connections by variant.

import { make, say } from "./dom.js";
import { bitrate, count, duration, size, UNKNOWN } from "./figures.js";
import { Spark } from "./spark.js";

export const VARIANTS = ["rtmp", "rtmpe", "rtmps", "rtmpt", "rtmpte", "rtmpts"];

const state = document.querySelector("#state");
const build = document.querySelector("#build");
const drain = document.querySelector("#drain");
const figures = {};
const sparks = { in: new Spark(), out: new Spark(), viewers: new Spark() };
const variants = {};
let version = "";
let draining = false;

for (const node of document.querySelectorAll("[data-figure]")) {
  const name = node.dataset.figure;
  figures[name] = make("span", "", node.textContent);
  node.replaceChildren(figures[name]);
  if (sparks[name]) node.append(sparks[name].node);
}
for (const variant of VARIANTS) {
  variants[variant] = make("dd", "", UNKNOWN);
  const pair = make("div", "", make("dt", "", variant.toUpperCase()), variants[variant]);
  document.querySelector(".variants dl").append(pair);
}

/** Each second: the summary of `statistics`. */
export function showNow(server, second) {
  say(build, `${version} · up ${duration(server.uptime)}`);
  showReady(server.ready);
  say(figures.live, count(server.streams));
  say(figures.viewers, count(server.viewers));
  say(figures.in, bitrate(server.bitrate_in));
  say(figures.out, bitrate(server.bitrate_out));
  sparks.viewers.add(second, server.viewers);
  sparks.in.add(second, server.bitrate_in);
  sparks.out.add(second, server.bitrate_out);
  for (const [variant, node] of Object.entries(variants)) {
    const here = server.by_variant[variant] ?? 0;
    say(node, count(here));
    node.classList.toggle("zero", here === 0);
  }
}

/** What stands here is as old as that. */
export function showPaused(time) {
  say(build, `Paused at ${time}`);
}

/** Now and then: what `/api/v1/server` says besides. */
export function showTotals(server) {
  version = `version ${server.version}`;
  draining = server.draining;
  drain.disabled = draining;
  showReady(server.ready);
  say(figures.received, `${size(server.bytes_in)} in all`);
  say(figures.sent, `${size(server.bytes_out)} in all`);
  say(figures.refused, count(Object.values(server.refused).reduce((sum, each) => sum + each, 0)));
}

/** It is about to stop, as is known before it says so. */
export function showDraining() {
  draining = drain.disabled = true;
  showReady(false);
}

/** The word beside the name of the page, and before that of its tab unless all is well. */
export function showState(word, kind) {
  say(state, word);
  state.className = `badge ${kind}`;
  const name = `${location.host} · rtmptwist`;
  document.title = kind === "good" ? name : `${word} · ${name}`;
}

/** Whether somebody is let in. */
export function showReady(ready) {
  if (draining) showState("Draining", "warn");
  else if (ready) showState("Ready", "good");
  else showState("Not ready", "warn");
}
