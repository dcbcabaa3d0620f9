// The API, and how the operator is known there.
//
// What was typed is kept for this tab only (sessionStorage), never in an address. Requests carry no
// credentials of the browser's own, so that no other page can borrow them.

const SCHEMES = ["Bearer", "Basic"];
const KEY = "rtmptwist.authorization";
const PATIENCE = 30_000; // milliseconds; who guesses wrong waits up to eight seconds for an answer

/** What the server did not do, in words. */
export class Refusal extends Error {
  constructor(status, detail, errors = [], schemes = []) {
    super([detail, ...errors].join("\n"));
    this.status = status; // 0: there was no answer
    this.schemes = schemes; // that the server takes, where it asks for a login
  }
}

export class Desk {
  #authorization = sessionStorage.getItem(KEY);

  /** Called when the server wants to know who we are; with a Refusal. */
  onStranger = () => {};

  get loggedIn() {
    return this.#authorization !== null;
  }

  /** Take these words from now on; null forgets them. */
  login(authorization) {
    this.#authorization = authorization;
    if (authorization === null) sessionStorage.removeItem(KEY);
    else sessionStorage.setItem(KEY, authorization);
  }

  get(path) {
    return this.#json("GET", path);
  }

  post(path, value) {
    return this.#json("POST", path, value);
  }

  /** An answer that goes on until `signal` ends it; of events: those after `number`. */
  open(path, number, signal) {
    return this.#ask("GET", path, undefined, signal, number ? { "Last-Event-ID": number } : {});
  }

  async #json(method, path, value) {
    const answer = await this.#ask(method, path, value, AbortSignal.timeout(PATIENCE));
    try {
      const text = await answer.text();
      return text ? JSON.parse(text) : null;
    } catch {
      throw new Refusal(0, "The answer of the server ended too early.");
    }
  }

  async #ask(method, path, value, signal, more = {}) {
    const headers = { "X-Requested-With": "rtmptwist", ...more };
    if (this.#authorization !== null) headers.Authorization = this.#authorization;
    if (value !== undefined) headers["Content-Type"] = "application/json";
    const body = value === undefined ? undefined : JSON.stringify(value);
    let answer;
    try {
      answer = await fetch(`api/v1/${path}`, {
        method, headers, body, signal, credentials: "omit", cache: "no-store", redirect: "error",
      });
    } catch (error) {
      if (error.name === "AbortError" || error instanceof Refusal) throw error; // ended by us
      throw new Refusal(0, "The server does not answer.");
    }
    if (answer.ok) return answer;
    const refusal = await refused(answer);
    if (refusal.status === 401) this.onStranger(refusal);
    throw refusal;
  }
}

async function refused(answer) {
  const shown = answer.headers.get("WWW-Authenticate") ?? "";
  const schemes = SCHEMES.filter((scheme) => new RegExp(`\\b${scheme}\\b`, "i").test(shown));
  let problem = {};
  try {
    problem = await answer.json();
  } catch {
    // a proxy's words, perhaps
  }
  const detail = problem.detail ?? `The server answered with status ${answer.status}.`;
  return new Refusal(answer.status, detail, problem.errors ?? [], schemes);
}

/** What is shown for a user and a password (RFC 7617). */
export function basic(user, password) {
  const bytes = new TextEncoder().encode(`${user}:${password}`);
  return `Basic ${btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""))}`;
}

/** What is shown for a token (RFC 6750). */
export function bearer(token) {
  return `Bearer ${token}`;
}
