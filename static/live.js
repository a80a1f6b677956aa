// The job page: the whole curve over HTTP, then what is new over the WebSocket; the same rows by polling when no socket opens.
"use strict";

(() => {
  const page = document.getElementById("job");
  const urls = page.dataset; // metrics, events, statusUrl, page, socket
  const FINAL = ["succeeded", "failed", "cancelled"];
  const LOG_KINDS = ["log", "warning", "error", "status", "phase", "checkpoint"];
  const LOG_LINES = 500;
  const POLL_SECONDS = 5;
  const { Run, bytes, seconds, number, loss } = window.Curves;

  const run = new Run();
  const lines = JSON.parse(document.getElementById("chart-lines").textContent);
  const charts = new window.Charts(page, (name) => lines[name].map((line) => ({ ...line, series: run[line.split] })));
  const place = page.querySelector("[data-read-at]");
  charts.onRead = (x) => {
    const index = run.train.at(charts.axis, x);
    const epoch = run.train.epoch[index] ?? null;
    place.textContent = index < 0 ? "" : `step ${run.train.step[index]}${epoch === null ? "" : ` · epoch ${number(epoch)}`}`;
  };
  const log = page.querySelector(".log");
  let job = JSON.parse(document.getElementById("job-status").textContent);
  let seen = 0; // everything up to this sequence number is drawn
  let logged = 0;
  let heard = Date.now(); // when the numbers on the page were true
  let socket = null;
  let failures = 0;
  let polling = null;

  // --- Numbers on the page -------------------------------------------------------------------
  const read = (path) => path.split(".").reduce((value, key) => value?.[key], job) ?? null;
  const since = () => (job.status === "running" && job.phase === "training" ? (Date.now() - heard) / 1000 : 0);
  const FORMATS = {
    number,
    loss,
    bytes,
    dollars: (value) => (value === null ? "–" : `$${value.toFixed(2)}`),
    count: (value) => (value === null ? "–" : Math.round(value).toLocaleString("en")),
    elapsed: (value) => (value === null ? "–" : seconds(value + since())),
    left: (value) => (FINAL.includes(job.status) || value === null ? "–" : seconds(Math.max(0, value - since()))),
    percent: (value) => (value === null ? "" : `${Math.floor(100 * value)} %`),
    rate: (value) => (value === null ? "–" : number(value)),
    text: (value) => value ?? "–",
  };

  function show() {
    for (const box of page.querySelectorAll("[data-live]")) {
      const words = FORMATS[box.dataset.format || "text"](read(box.dataset.live));
      if (box.textContent !== words) box.textContent = words;
    }
    const bar = page.querySelector("[data-bar]");
    const fraction = job.progress?.fraction;
    if (fraction === null || fraction === undefined) bar.toggleAttribute("value", FINAL.includes(job.status) || job.status === "queued");
    else bar.value = fraction;
    bar.classList.toggle("done", job.status === "succeeded");
    showPlace();
    const phase = page.querySelector("[data-phase]"); // announced by screen readers: touched only when it changes
    if (phase.textContent !== phaseWords()) phase.textContent = phaseWords();
    const running = job.status === "running" && fraction ? `${Math.floor(100 * fraction)} % · ` : "";
    document.title = `${running}${page.dataset.name} · AiFineTune`;
  }

  // Of a run at a provider: the station it is at, its page there, and how much of its budget is spent.
  function showPlace() {
    const inside = ["evaluating", "saving", "exporting"].includes(job.phase) ? "training" : job.phase;
    const stations = [...page.querySelectorAll("[data-station]")];
    const at = job.status === "succeeded" ? stations.length : stations.findIndex((item) => item.dataset.station === inside);
    stations.forEach((item, place) => {
      const state = place < at ? "done" : place === at ? "now" : "later";
      if (item.dataset.state !== state) item.dataset.state = state;
      if (state === "now") item.setAttribute("aria-current", "step");
      else item.removeAttribute("aria-current");
    });
    const link = page.querySelector("[data-remote]");
    link.hidden = !job.remote_url;
    if (job.remote_url && link.getAttribute("href") !== job.remote_url) link.href = job.remote_url;
    const budget = page.querySelector("[data-budget]");
    if (!budget) return;
    budget.querySelector("progress").value = job.cost?.actual ?? 0;
    const note = budget.querySelector("[data-budget-note]");
    const words = job.cost?.stopped ? BUDGET.stopped : job.cost?.warned ? BUDGET.warned : "";
    if (note.textContent !== words) note.textContent = words;
    budget.dataset.state = job.cost?.stopped ? "bad" : job.cost?.warned ? "warn" : "";
  }

  const BUDGET = {
    warned: "More than 80 % of the budget is spent. At 100 % the run is stopped with a checkpoint.",
    stopped: "The budget is used up.",
  };

  const PHASES = {
    building: "Building the container at the provider",
    starting: "Waiting for the provider's machine",
    pulling: "Fetching model and data there",
    preparing: "Preparing: loading model and data",
    training: "Training",
    evaluating: "Evaluating on held-out rows",
    saving: "Saving a checkpoint",
    exporting: "Exporting the model",
    uploading: "Bringing the result home",
  };
  const STATUSES = {
    draft: "Not started",
    queued: "In the queue",
    running: "Starting",
    cancelling: "Stopping at the next step; what was learned is kept",
    cancelled: "Cancelled",
    succeeded: "Finished",
    failed: "Failed",
  };

  function phaseWords() {
    if (job.status === "running" && PHASES[job.phase]) return PHASES[job.phase];
    if (job.status === "queued" && job.queue_position > 1) return `In the queue, number ${job.queue_position}`;
    if (job.status === "queued") return "Next in the queue";
    return STATUSES[job.status] || job.status;
  }

  function update(news) {
    const before = job;
    job = { ...job, ...news };
    heard = Date.now();
    show();
    if (before.attempt !== job.attempt && before.attempt) reload(); // it may have gone back to an earlier checkpoint
    if (before.status !== job.status) refreshHead();
    else if (before.phase === "preparing" && job.phase === "training") fetchPart("#job-facts", "outerHTML"); // how it computes is known now
  }

  const fetchPart = (target, swap) => window.htmx?.ajax("GET", urls.page, { source: target, target, swap });

  function refreshHead() {
    page.dataset.status = job.status;
    for (const target of ["#job-head", "#job-facts"]) fetchPart(target, "outerHTML");
    fetchPart("#job-checkpoints", "innerHTML");
    if (FINAL.includes(job.status)) linkState("");
  }

  // --- Events --------------------------------------------------------------------------------
  function take(events) {
    const fresh = events.filter((event) => event.seq > seen);
    if (!fresh.length) return;
    seen = fresh.at(-1).seq;
    run.add(fresh.filter((event) => event.kind === "metric"));
    run.addMemory(fresh.filter((event) => event.kind === "memory"));
    charts.later();
    write(fresh);
    if (fresh.some((event) => event.kind === "checkpoint")) fetchPart("#job-checkpoints", "innerHTML");
    if (fresh.some((event) => event.kind === "sample")) {
      page.querySelector("#job-samples").hidden = false;
      fetchPart("#job-samples", "innerHTML");
    }
  }

  const LINES = {
    log: (event) => event.text,
    warning: (event) => event.text ?? event.message,
    error: (event) => event.text ?? event.message,
    status: (event) => event.reason || STATUSES[event.status] || event.status,
    phase: (event) => (PHASES[event.phase] || event.phase || "") + (event.note ? `: ${event.note}` : ""),
    checkpoint: (event) => `Checkpoint at step ${event.step}${event.bytes ? `, ${bytes(event.bytes)}` : ""}`,
  };

  function write(events) {
    const lines = events.filter((event) => LOG_KINDS.includes(event.kind) && event.seq > logged);
    if (!lines.length) return;
    logged = lines.at(-1).seq;
    const follows = log.scrollHeight - log.scrollTop - log.clientHeight < 40;
    log.querySelector(".muted")?.remove();
    log.append(...lines.slice(-LOG_LINES).map(logLine));
    while (log.children.length > LOG_LINES) log.firstElementChild.remove();
    if (follows) log.scrollTop = log.scrollHeight;
  }

  function logLine(event) {
    const line = document.createElement("div");
    const level = event.kind === "log" ? event.level : event.kind;
    line.className = `log-line ${level || ""}`;
    const time = document.createElement("time");
    time.dateTime = event.time;
    time.textContent = new Date(event.time).toLocaleTimeString("en-GB");
    const text = document.createElement("span");
    text.textContent = LINES[event.kind](event);
    line.append(time, text);
    return line;
  }

  // --- Where the news come from --------------------------------------------------------------
  async function get(url, parameters) {
    const response = await fetch(`${url}?${new URLSearchParams(parameters)}`, { headers: { Accept: "application/json" } });
    if (!response.ok) throw new Error(`${url}: ${response.status}`);
    return response.json();
  }

  async function loadPast() {
    const metrics = await get(urls.metrics, { after: 0, max_points: 2000 });
    run.add(metrics.points);
    charts.draw();
    seen = metrics.last_seq;
    const kinds = [...LOG_KINDS, "memory"].join(",");
    for (let after = 0; after < seen; ) {
      const { events, last_seq } = await get(urls.events, { kind: kinds, after });
      write(events);
      run.addMemory(events.filter((event) => event.kind === "memory"));
      after = last_seq;
    }
    charts.draw();
    for (const wait of page.querySelectorAll(".chart-wait")) if (FINAL.includes(job.status)) wait.textContent = "Not recorded";
  }

  async function reload() {
    run.clear();
    await loadPast().catch(() => linkState("down"));
  }

  const LINK = {
    live: "Live",
    down: "Reconnecting…",
    poll: "No live connection; asking every 5 s",
    "": "",
  };

  function linkState(state) {
    const box = page.querySelector(".link-state");
    box.dataset.state = state;
    box.textContent = LINK[state];
    box.hidden = !state;
  }

  function connect() {
    socket = new WebSocket(`${location.origin.replace(/^http/, "ws")}${urls.socket}?after=${seen}`);
    socket.onopen = () => {
      failures = 0;
      clearInterval(polling);
      polling = null;
      linkState(FINAL.includes(job.status) ? "" : "live");
    };
    socket.onmessage = (message) => receive(JSON.parse(message.data));
    socket.onclose = (event) => {
      if (event.code === 4401) location.reload(); // signed out: the page leads to the sign-in
      else if (event.code !== 4404) reconnect();
    };
  }

  function receive(message) {
    if (message.type === "events") take(message.events);
    else if (message.type === "hello" || message.type === "status") update(message.job);
  }

  function reconnect() {
    if (FINAL.includes(job.status)) return linkState("");
    failures += 1;
    if (failures >= 3 && !polling) polling = setInterval(poll, 1000 * POLL_SECONDS);
    linkState(polling ? "poll" : "down");
    const wait = Math.min(30000, 500 * 2 ** Math.min(failures, 6)) * (0.75 + Math.random() / 2);
    setTimeout(connect, wait);
  }

  async function poll() {
    try {
      const [status, news] = await Promise.all([get(urls.statusUrl, {}), get(urls.events, { after: seen })]);
      take(news.events);
      update(status);
      if (FINAL.includes(job.status)) clearInterval(polling);
    } catch {
      linkState("down");
    }
  }

  show();
  setInterval(show, 1000);
  loadPast()
    .catch(() => linkState("down"))
    .finally(() => {
      if (!FINAL.includes(job.status)) connect();
    });
  window.addEventListener("pagehide", () => {
    if (!socket) return;
    socket.onclose = null;
    socket.close();
  });
  window.addEventListener("pageshow", (event) => {
    if (event.persisted && socket && !FINAL.includes(job.status)) connect();
  });
})();
