// A question before anything is ended. The answer that ends nothing has the focus.

const dialog = document.querySelector("#confirm");
const form = dialog.querySelector("form");
const title = form.querySelector("#confirm-title");
const words = form.querySelector("#confirm-words");
const problem = form.querySelector(".problem");
const reason = form.querySelector("#confirm-reason");
const [cancel, go] = form.querySelectorAll("button");
let act = null;
let home = null;

/**
 * Ask; `act(reason)` is done when the operator agrees, and what it throws is shown.
 * `takesReason`: somebody reads why; `grave`: somebody or something ends.
 */
export function ask({ heading, text, verb, takesReason = false, grave = true }, action) {
  if (dialog.open) return;
  title.textContent = heading;
  words.textContent = text;
  go.textContent = verb;
  go.className = grave ? "grave" : "";
  problem.textContent = "";
  reason.hidden = !takesReason;
  form.elements.reason.value = "";
  act = action;
  home = document.activeElement.closest("section, header")?.querySelector("h1, h2");
  busy(false);
  dialog.showModal();
  cancel.focus();
}

function busy(now) {
  go.disabled = now;
  form.setAttribute("aria-busy", now);
}

cancel.addEventListener("click", () => dialog.close());

dialog.addEventListener("close", () => {
  // the button that had the focus may have gone meanwhile, with what it was about
  const { activeElement: focused, body } = document;
  const lost = focused === body || focused.disabled || dialog.contains(focused);
  if (lost) home?.focus({ preventScroll: true });
});

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const mine = act;
  busy(true);
  problem.textContent = "";
  try {
    await mine(form.elements.reason.value.trim());
    if (act === mine) dialog.close();
  } catch (error) {
    if (act !== mine) return;
    problem.textContent = error.message;
    busy(false);
    cancel.focus();
  }
});
