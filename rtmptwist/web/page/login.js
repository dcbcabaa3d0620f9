// Who operates: a token, or a user and password, as the server takes them.

import { basic, bearer } from "./desk.js";

const dialog = document.querySelector("#login");
const form = dialog.querySelector("form");
const problem = form.querySelector(".problem");
const kinds = form.querySelector("#kinds");
const submit = form.querySelector("button");
const LOCAL = ["localhost", "127.0.0.1", "[::1]"];

/** Show the form whenever the server wants to know; `onLogin` is called when it knows. */
export function login(desk, onLogin) {
  desk.onStranger = (refusal) => {
    if (dialog.open) return;
    show(refusal, desk.loggedIn);
    desk.login(null); // who shows a wrong one again and again is made to wait
  };

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const { kind, user, password, token } = form.elements;
    problem.textContent = "";
    if (kind.value === "Bearer" && !/^[!-~]+$/.test(token.value.trim())) {
      problem.textContent = "This is no token: tokens are letters and digits, without spaces.";
      return;
    }
    submit.disabled = true;
    const byPassword = kind.value === "Basic";
    desk.login(byPassword ? basic(user.value, password.value) : bearer(token.value.trim()));
    try {
      await desk.get("server");
      password.value = token.value = "";
      dialog.close();
      onLogin();
    } catch (error) {
      desk.login(null);
      problem.textContent = error.message;
    } finally {
      submit.disabled = false;
    }
  });
}

dialog.addEventListener("cancel", (event) => event.preventDefault()); // there is nothing behind it
form.addEventListener("change", choose);

function show(refusal, wasIn) {
  kinds.hidden = refusal.schemes.length < 2;
  const first = form.querySelector(`[name=kind][value=${refusal.schemes[0]}]`);
  first.checked = true;
  document.querySelector("#in-the-open").hidden =
    location.protocol === "https:" || LOCAL.includes(location.hostname);
  problem.textContent = wasIn ? refusal.message : "";
  choose();
  dialog.showModal();
  form.querySelector("label:not([hidden]) > input:not([type=radio])").focus();
}

function choose() {
  for (const label of form.querySelectorAll("label[data-kind]")) {
    label.hidden = label.dataset.kind !== form.elements.kind.value;
    label.querySelector("input").required = !label.hidden;
  }
}
