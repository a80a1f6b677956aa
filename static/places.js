// The step "where" is drawn anew as estimates come in. What is chosen on the page meanwhile is newer than what they were asked with.
"use strict";

(() => {
  let chosen = [];

  document.addEventListener("htmx:oobBeforeSwap", (event) => {
    if (event.detail.target?.id !== "places") return;
    chosen = [...event.detail.target.querySelectorAll("input:checked")].map((input) => input.id);
  });

  document.addEventListener("htmx:oobAfterSwap", (event) => {
    if (event.detail.target?.id !== "places") return;
    for (const id of chosen) {
      const input = document.getElementById(id);
      if (!input || input.checked) continue;
      input.disabled = false; // a choice stays one, whatever is said of it
      input.checked = true;
    }
    chosen = [];
  });
})();
