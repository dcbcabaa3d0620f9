// The page, put together.

import { ask } from "./confirm.js";
import { Connections } from "./connections.js";
import { Desk } from "./desk.js";
import { make, say } from "./dom.js";
import { clock } from "./figures.js";
import { Live } from "./live.js";
import { login } from "./login.js";
import { screen } from "./screen.js";
import { showDraining, showNow, showPaused, showReady, showState, showTotals } from "./server.js";
import { streamsTable } from "./streams.js";
import { keepWarnings, showWarnings, warn } from "./warnings.js";

const desk = new Desk();
const lost = document.querySelector("#lost");
const done = document.querySelector("#done");
const logout = document.querySelector("#logout");
const pause = document.querySelector("#pause");
const TOTALS_EVERY = 5000; // milliseconds
const TOLD_FOR = 30_000;
let lostSince = null;
let totals = null;
let told = null;
let paused = false;

say(document.querySelector("#host"), location.host);

// ---------------------------------------------------------------- what operators do

const reasoned = (reason) => (reason ? { reason } : {});

function kick(id, what) {
  ask(
    {
      heading: `Kick #${id}?`,
      text: `It ${what || "does nothing yet"}. It is closed; its program may come back.`,
      verb: "Kick",
      takesReason: true,
    },
    async (reason) => {
      await desk.post(`connections/${id}/kick`, reasoned(reason));
      tell(`Kicked #${id}.`);
    },
  );
}

const connections = new Connections(desk, kick);
const streams = streamsTable({
  kick: (id, name) => kick(id, `publishes ${name}`),
  close: async (stream, reason) => {
    await desk.post(`streams/${stream.id}/close`, reasoned(reason));
    tell(`Closed ${stream.application}/${stream.name}.`);
  },
  connections: (stream) => connections.of(stream),
  watch: screen(desk),
});

document.querySelector("#reload").addEventListener("click", () => {
  ask(
    {
      heading: "Reload the configuration?",
      text: "The server reads its file again. A mistake changes nothing; what runs goes on.",
      verb: "Reload",
      grave: false,
    },
    async () => {
      const { changes } = await desk.post("reload");
      tell(changes.length ? `Reloaded: ${changes.join("; ")}.` : "Reloaded: nothing has changed.");
    },
  );
});

document.querySelector("#drain").addEventListener("click", () => {
  ask(
    {
      heading: "Drain and stop the server?",
      text:
        "Nobody is let in any more, everybody who is here leaves, and then the server ends." +
        " It cannot be undone here.",
      verb: "Drain",
    },
    async () => {
      await desk.post("drain");
      showDraining();
      tell("The server lets everybody leave, and stops.");
    },
  );
});

logout.addEventListener("click", () => {
  desk.login(null);
  location.reload();
});

function tell(words) {
  clearTimeout(told);
  done.replaceChildren(make("p", "notice", words));
  told = setTimeout(() => done.replaceChildren(), TOLD_FOR);
  connections.refresh();
}

// figures that change all the time can be stopped; what happens is told all the same
pause.addEventListener("click", () => {
  paused = !paused;
  pause.setAttribute("aria-pressed", paused);
  connections.still = paused;
  if (paused) showPaused(clock(new Date()));
});

// ---------------------------------------------------------------- what the server says

const hear = {
  statistics({ time, server, streams: items, omitted }) {
    keepWarnings(items, omitted, time);
    if (paused) return showReady(server.ready);
    const now = { second: performance.now() / 1000, now: Date.parse(time) };
    connections.ahead = now.now - Date.now();
    showNow(server, now.second);
    streams.show(items, omitted, now);
  },
  warning: warn,
  drain: showDraining,
};

async function readTotals() {
  clearTimeout(totals);
  try {
    const server = await desk.get("server");
    if (!paused) showTotals(server);
    totals = setTimeout(readTotals, TOTALS_EVERY);
  } catch {
    // the events say that nothing is to be had
  }
}

const live = new Live(desk, "events?statistics=true&kinds=warning,drain", {
  hear: (name, value) => hear[name]?.(value),
  open: () => {
    lostSince = null;
    lost.hidden = true;
    logout.hidden = !desk.loggedIn;
    showWarnings();
    readTotals();
    connections.refresh();
  },
  lost: (words, wait) => {
    clearTimeout(totals);
    if (wait === null) {
      lost.hidden = true;
      showState("Logged out", "warn");
      return;
    }
    lostSince ??= new Date();
    showState("Connection lost", "bad");
    lost.hidden = false;
    const since = `Connection lost since ${clock(lostSince)}; what stands here is old.`;
    say(lost.querySelector("strong"), since);
    say(lost.querySelector("span"), `${words} Trying again in ${wait}\u00a0s.`);
  },
});

lost.querySelector("button").addEventListener("click", () => live.start());
login(desk, () => live.start());
live.start();
