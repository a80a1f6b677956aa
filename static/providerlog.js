// What the provider's machine said, beside the run's own log: fetched when somebody looks, and again while the job runs.
"use strict";

(() => {
  const EVERY_SECONDS = 4;
  const LINES = 1000;
  const page = document.getElementById("job");
  const box = page.querySelector(".provider-log");
  if (!box) return;
  const own = page.querySelector(".log[role=log]");
  const buttons = [...page.querySelectorAll("[data-log-of]")];
  const whole = page.querySelector("[data-log-whole]");
  let timer = null;

  async function look() {
    try {
      const answer = await fetch(`${page.dataset.logs}?of=provider&tail=${LINES}`);
      if (!answer.ok) throw new Error(answer.status);
      const text = (await answer.text()) || "The provider's machine has said nothing yet.";
      if (text === box.textContent) return;
      const follows = box.scrollHeight - box.scrollTop - box.clientHeight < 40;
      box.textContent = text;
      if (follows) box.scrollTop = box.scrollHeight;
    } catch {
      if (!box.textContent) box.textContent = "The provider's log could not be fetched. It is tried again.";
    }
  }

  function choose(whose) {
    const theirs = whose === "provider";
    for (const button of buttons) button.setAttribute("aria-pressed", String(button.dataset.logOf === whose));
    whole.href = `${page.dataset.logs}${theirs ? "?of=provider" : ""}`;
    own.hidden = theirs;
    box.hidden = !theirs;
    clearInterval(timer);
    if (!theirs) return;
    look();
    timer = setInterval(() => (["running", "cancelling"].includes(page.dataset.status) ? look() : null), 1000 * EVERY_SECONDS);
  }

  for (const button of buttons) button.addEventListener("click", () => choose(button.dataset.logOf));
})();
