// One prompt for several models; their answers stream together. Without this file the form posts and the answers come with the page.
"use strict";

class SideBySide {
  constructor(form) {
    this.form = form;
    this.askButton = form.querySelector("[type=submit]");
    this.stopButton = form.querySelector("[data-stop]");
    this.state = form.querySelector("[data-state]");
    this.sides = document.querySelector("[data-sides]");
    this.outcome = document.getElementById("outcome");
    this.line = new Answers.Line("/ws/compare", {
      started: (message) => this.started(message),
      token: (message) => this.boxes.get(message.model_id)?.add(message),
      done: (message) => this.boxes.get(message.model_id)?.done(message),
      failed: (message) => this.boxes.get(message.model_id)?.failed(message.message),
      end: () => this.end(),
      refused: (words) => this.end(words),
    });
    form.addEventListener("submit", (event) => this.submit(event));
    this.stopButton.addEventListener("click", () => this.line.stop());
    form.prompt.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      if (!this.askButton.disabled) form.requestSubmit();
    });
    document.addEventListener("htmx:afterSwap", (event) => event.target === this.outcome && this.reveal());
  }

  submit(event) {
    event.preventDefault();
    const chosen = [...this.form.querySelectorAll(".sources select")].filter((select) => select.value);
    this.blind = this.form.blind.checked;
    this.names = chosen.map((select) => select.selectedOptions[0].textContent);
    this.comparison = null;
    this.outcome.replaceChildren();
    this.busy(true, "Waiting for the worker…");
    this.boxes = new Map();
    this.sides.replaceChildren();
    const sources = chosen.map((select) => select.value);
    this.line.ask({ sources, blind: this.blind, prompt: this.form.prompt.value, ...Answers.sampling(this.form) });
  }

  /** The sides have their places, and their names unless the comparison is blind: who is who, only the server knows. */
  started(message) {
    this.comparison = message.comparison;
    message.models.forEach((side, index) => {
      const box = new Answers.Box(this.blind ? `Answer ${side}` : `${side} · ${this.names[index]}`);
      this.boxes.set(side, box);
      this.sides.append(box.element);
    });
    this.sides.hidden = false;
    this.busy(true, "Answering…");
  }

  end(words = "") {
    this.busy(false, words);
    if (!this.comparison || words) return;
    const address = this.form.dataset.result.replace("/0", `/${this.comparison}`);
    htmx.ajax("GET", address, { target: "#outcome" });
  }

  /** After the vote the page knows the names. */
  reveal() {
    for (const row of this.outcome.querySelectorAll("[data-side-name]")) {
      const box = this.boxes?.get(row.dataset.side);
      if (box) box.element.querySelector(".msg-role").textContent = `${row.dataset.side} · ${row.dataset.sideName}`;
    }
  }

  busy(working, words) {
    this.askButton.disabled = working;
    this.stopButton.hidden = !working;
    this.sides.setAttribute("aria-busy", String(working));
    this.state.classList.toggle("errors", Boolean(words) && !working);
    this.state.textContent = words;
  }
}

for (const form of document.querySelectorAll("form[data-side-by-side]:not([data-chat])")) new SideBySide(form);
