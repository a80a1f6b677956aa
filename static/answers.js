// Answers that come word by word: the socket they come over, and the boxes they are written into. For chat.js and sidebyside.js.
"use strict";

window.Answers = (() => {
  const REASONS = { stop: "complete", length: "cut at the longest answer", cancelled: "stopped" };

  /** The sampling and system prompt that a form holds, as the API takes them. */
  function sampling(form) {
    const data = new FormData(form);
    const number = (name) => (data.get(name) ? Number(data.get(name)) : undefined);
    const stop = (data.get("stop") || "").split(/\r?\n/).filter(Boolean).map((line) => line.replaceAll("\\n", "\n"));
    const body = { system: data.get("system") || "", stop };
    for (const name of ["temperature", "max_new_tokens", "top_p", "seed"]) if (number(name) !== undefined) body[name] = number(name);
    return body;
  }

  /** The numbers of a finished answer, in words. */
  function note(facts) {
    const words = [];
    if (facts.tokens !== undefined) words.push(`${facts.tokens} tokens`);
    if (facts.tokens_per_second !== undefined) words.push(`${facts.tokens_per_second.toFixed(1)} tokens/s`);
    if (facts.first_token_seconds != null) words.push(`first token after ${seconds(facts.first_token_seconds)}`);
    if (facts.load_seconds > 1) words.push(`${seconds(facts.load_seconds)} to load`);
    words.push(REASONS[facts.stop_reason] || facts.stop_reason);
    return words.join(" · ");
  }

  function seconds(value) {
    return value < 1 ? `${Math.round(value * 1000)} ms` : `${value.toFixed(1)} s`;
  }

  /** One answer on the page, made from the template. */
  class Box {
    constructor(name) {
      this.element = document.querySelector("template[data-answer]").content.firstElementChild.cloneNode(true);
      this.element.querySelector(".msg-role").textContent = name;
      this.text = this.element.querySelector(".msg-text");
      this.thought = this.element.querySelector(".thought");
      this.note = this.element.querySelector("[data-note]");
      this.actions = this.element.querySelector(".msg-actions");
    }

    add(message) {
      if (message.thinking) this.thought.hidden = false;
      (message.thinking ? this.thought.querySelector(".thought-text") : this.text).append(message.text);
    }

    done(facts) {
      this.thought.querySelector("summary").textContent = "What it thought";
      this.note.textContent = note(facts);
    }

    /** This one can't answer; what it had said so far is no answer. */
    failed(words) {
      this.text.textContent = "";
      this.thought.hidden = true;
      this.note.textContent = words;
      this.note.className = "small errors";
    }

    get isEmpty() {
      return !this.text.textContent && this.thought.hidden && !this.note.textContent;
    }
  }

  /** One question over a socket that is kept open for the next. `on` has token, done, end and refused (with its words). */
  class Line {
    constructor(path, on) {
      this.path = path;
      this.on = on;
    }

    ask(body) {
      this.asking = true;
      if (this.socket?.readyState === WebSocket.OPEN) {
        this.socket.send(JSON.stringify(body));
        return;
      }
      const scheme = location.protocol === "https:" ? "wss:" : "ws:";
      const socket = new WebSocket(`${scheme}//${location.host}${this.path}`);
      this.socket = socket;
      socket.addEventListener("open", () => socket.send(JSON.stringify(body)));
      socket.addEventListener("message", (event) => this.receive(JSON.parse(event.data)));
      socket.addEventListener("close", () => this.socket === socket && this.refuse("The connection broke. Send it again."));
    }

    stop() {
      if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify({ type: "stop" }));
    }

    receive(message) {
      if (message.type === "error") this.refuse(message.message);
      else {
        if (message.type === "end") this.asking = false;
        this.on[message.type]?.(message);
      }
    }

    refuse(words) {
      if (!this.asking) return;
      this.asking = false;
      this.on.refused(words);
    }
  }

  return { Box, Line, sampling };
})();
