// The "Try it" panel: the form's prompt goes over a WebSocket, answers come back word by word. Without this file the form posts.
"use strict";

const REASONS = { stop: "complete", length: "cut at the longest answer", cancelled: "stopped" };

function body(form) {
  const data = new FormData(form);
  const compare = data.get("compare") === "on" && form.dataset.base;
  return {
    prompt: data.get("prompt"),
    system: data.get("system") || "",
    temperature: Number(data.get("temperature")),
    max_new_tokens: Number(data.get("max_new_tokens")),
    compare_with: compare ? [Number(form.dataset.base)] : [],
  };
}

class Panel {
  constructor(form) {
    this.form = form;
    this.ask = form.querySelector("[type=submit]");
    this.stopButton = form.querySelector("[data-stop]");
    this.state = form.querySelector("[data-state]");
    const card = form.closest(".card");
    this.outputs = card.querySelector("[data-outputs]");
    this.chat = this.outputs.querySelector(".chat");
    this.template = card.querySelector("template[data-answer]");
    form.addEventListener("submit", (event) => this.submit(event));
    this.stopButton.addEventListener("click", () => this.socket?.send(JSON.stringify({ type: "stop" })));
    form.prompt.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
    });
  }

  submit(event) {
    event.preventDefault();
    this.request = body(this.form);
    this.answers = new Map();
    this.chat.replaceChildren();
    this.add(Number(this.form.dataset.model), this.form.dataset.name);
    for (const id of this.request.compare_with) this.add(id, this.form.dataset.baseName);
    this.outputs.hidden = false;
    this.busy(true, "Waiting for the worker…");
    this.connect();
  }

  add(id, name) {
    const box = this.template.content.firstElementChild.cloneNode(true);
    box.querySelector(".msg-role").textContent = name;
    this.chat.append(box);
    this.answers.set(id, { text: box.querySelector(".msg-text"), note: box.querySelector("[data-note]") });
  }

  connect() {
    const scheme = location.protocol === "https:" ? "wss:" : "ws:";
    this.socket = new WebSocket(`${scheme}//${location.host}${this.form.dataset.try}`);
    this.finished = false;
    this.socket.addEventListener("open", () => this.socket.send(JSON.stringify(this.request)));
    this.socket.addEventListener("message", (event) => this.receive(JSON.parse(event.data)));
    this.socket.addEventListener("close", () => {
      if (!this.finished) this.end("The connection broke. Ask again.");
    });
  }

  receive(message) {
    const answer = this.answers.get(message.model_id);
    if (message.type === "started") this.state.textContent = "Answering…";
    else if (message.type === "token") answer.text.append(message.text);
    else if (message.type === "done") {
      answer.note.textContent = `${message.tokens} tokens · ${message.tokens_per_second.toFixed(1)} tokens/s · ${REASONS[message.stop_reason]}`;
    } else if (message.type === "end") this.end("");
    else if (message.type === "error") this.end(message.message);
  }

  end(words) {
    this.finished = true;
    this.socket.close();
    this.busy(false, words);
    for (const box of this.chat.querySelectorAll(".msg")) {
      if (!box.querySelector(".msg-text").textContent && !box.querySelector("[data-note]").textContent) box.remove();
    }
  }

  busy(working, words) {
    this.ask.disabled = working;
    this.stopButton.hidden = !working;
    this.outputs.setAttribute("aria-busy", String(working));
    this.state.textContent = words;
  }
}

for (const form of document.querySelectorAll("form[data-try]")) new Panel(form);
