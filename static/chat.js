// A conversation with one model, kept in the page and over a reload of it. Without this file the form posts one question.
"use strict";

class Chat {
  constructor(form) {
    this.form = form;
    const card = form.closest(".card");
    this.send = form.querySelector("[type=submit]");
    this.stopButton = form.querySelector("[data-stop]");
    this.state = form.querySelector("[data-state]");
    this.hint = this.state.innerHTML;
    this.talk = card.querySelector("[data-outputs]");
    this.list = this.talk.querySelector(".chat");
    this.newButton = card.querySelector("[data-new]");
    this.buttons = card.querySelector("template[data-actions]");
    this.key = `chat:${form.dataset.chat}`;
    this.turns = [];
    this.line = new Answers.Line("/ws/ask", {
      started: () => this.busy(true, "Answering…"),
      token: (message) => this.write(message),
      done: (message) => this.done(message),
      end: () => this.end(),
      refused: (words) => this.end(words),
    });
    form.addEventListener("submit", (event) => this.submit(event));
    form.prompt.addEventListener("keydown", (event) => this.press(event));
    this.stopButton.addEventListener("click", () => this.line.stop());
    this.newButton.addEventListener("click", () => this.clear());
    this.list.addEventListener("click", (event) => this.act(event.target.closest("[data-do]")));
    this.restore();
  }

  press(event) {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    if (!this.send.disabled) this.form.requestSubmit();
  }

  submit(event) {
    event.preventDefault();
    const prompt = this.form.prompt.value;
    if (!prompt.trim() || this.send.disabled) return;
    this.form.prompt.value = "";
    this.turns.push({ role: "user", content: prompt });
    this.show();
    this.answer();
  }

  answer() {
    this.box = new Answers.Box(this.form.dataset.name);
    this.list.append(this.box.element);
    this.current = { role: "assistant", content: "", thinking: "" };
    this.busy(true, "Waiting for the worker…");
    this.follow();
    const messages = this.turns.map(({ role, content }) => ({ role, content }));
    this.line.ask({ source: this.form.dataset.chat, messages, ...Answers.sampling(this.form) });
  }

  write(message) {
    const stays = this.talk.scrollHeight - this.talk.scrollTop - this.talk.clientHeight < 60;
    this.box.add(message);
    this.current[message.thinking ? "thinking" : "content"] += message.text;
    if (stays) this.follow();
  }

  done(facts) {
    this.current.facts = facts;
  }

  end(words = "") {
    if (this.current?.content || this.current?.facts) this.turns.push(this.current);
    else if (words && this.turns.at(-1)?.role === "user") this.form.prompt.value ||= this.turns.pop().content; // to send it again
    this.current = this.box = null;
    this.show();
    this.busy(false, words);
    this.store();
  }

  busy(working, words) {
    this.send.disabled = working;
    this.stopButton.hidden = !working;
    this.talk.setAttribute("aria-busy", String(working));
    this.newButton.hidden = working || !this.turns.length;
    this.state.classList.toggle("errors", Boolean(words) && !working);
    if (words) this.state.textContent = words;
    else this.state.innerHTML = this.hint;
  }

  // --- What is on the page ------------------------------------------------------------------------
  show() {
    this.talk.hidden = !this.turns.length;
    this.list.replaceChildren(...this.turns.map((turn, index) => this.element(turn, index)));
    this.follow();
  }

  element(turn, index) {
    const box = new Answers.Box(turn.role === "user" ? "You" : this.form.dataset.name);
    if (turn.thinking) box.add({ thinking: true, text: turn.thinking });
    box.add({ text: turn.content });
    if (turn.role === "user") box.element.className = "msg msg-user";
    if (turn.facts) box.done(turn.facts);
    else if (turn.role === "user") box.note.remove();
    box.actions.append(this.buttons.content.cloneNode(true));
    for (const button of box.actions.querySelectorAll("[data-do]")) this.prepare(button, turn, index);
    return box.element;
  }

  prepare(button, turn, index) {
    button.dataset.turn = index;
    const last = index === this.turns.length - 1;
    const wanted = { copy: true, again: turn.role === "assistant" && last, test: turn.role === "user" };
    const target = this.form.dataset.sideBySide;
    if (!wanted[button.dataset.do] || (button.dataset.do === "test" && !target)) button.remove();
    else if (button.dataset.do === "test") button.href = `${target}&prompt=${encodeURIComponent(turn.content.slice(0, 4000))}`;
  }

  act(button) {
    if (!button || this.send.disabled) return;
    const turn = this.turns[Number(button.dataset.turn)];
    if (button.dataset.do === "copy") copyText(turn.content);
    if (button.dataset.do === "again") {
      this.turns.pop();
      this.show();
      this.answer();
    }
  }

  follow() {
    this.talk.scrollTop = this.talk.scrollHeight;
  }

  // --- What outlives a reload ---------------------------------------------------------------------
  store() {
    try {
      sessionStorage.setItem(this.key, JSON.stringify(this.turns));
    } catch {
      // Without storage the conversation lasts until the page goes.
    }
  }

  restore() {
    try {
      const kept = JSON.parse(sessionStorage.getItem(this.key) || "[]");
      if (Array.isArray(kept) && kept.length && !this.list.children.length) this.turns = kept;
    } catch {
      return;
    }
    if (this.turns.length) {
      this.show();
      this.busy(false, "");
    }
  }

  clear() {
    this.turns = [];
    this.store();
    this.show();
    this.busy(false, "");
    this.form.prompt.focus();
  }
}

async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
    toast("success", "Copied.");
  } catch {
    toast("error", "The browser did not allow copying. Select the text and copy it by hand.");
  }
}

for (const form of document.querySelectorAll("form[data-chat]")) new Chat(form);
