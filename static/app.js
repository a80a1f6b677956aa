// What every page has: theme, navigation, toasts, confirmations, file drops, relative times, htmx manners.
"use strict";

const root = document.documentElement;

function store(key, value) {
  try {
    if (value === null) localStorage.removeItem(key);
    else localStorage.setItem(key, value);
  } catch {
    // Without storage the choice lasts until the next page.
  }
}

// --- Theme and navigation ----------------------------------------------------------------------
function showTheme() {
  const chosen = root.dataset.theme || "system";
  for (const button of document.querySelectorAll("[data-theme-choice]")) {
    button.setAttribute("aria-pressed", String(button.dataset.themeChoice === chosen));
  }
}

function chooseTheme(choice) {
  if (choice === "system") delete root.dataset.theme;
  else root.dataset.theme = choice;
  store("theme", choice === "system" ? null : choice);
  showTheme();
  keepTheme(choice);
  document.dispatchEvent(new CustomEvent("theme"));
}

// For the account's other browsers. Signed out, or without an answer, the choice holds in this one.
function keepTheme(choice) {
  if (!root.dataset.accountTheme) return;
  root.dataset.accountTheme = choice;
  const headers = JSON.parse(document.body.getAttribute("hx-headers"));
  fetch("/settings/theme", { method: "POST", headers, body: new URLSearchParams({ theme: choice }), keepalive: true }).catch(() => {});
}

function showFold() {
  const folded = root.dataset.nav === "folded";
  for (const button of document.querySelectorAll(".nav-fold")) {
    button.setAttribute("aria-expanded", String(!folded));
    button.setAttribute("aria-label", folded ? "Unfold the navigation" : "Fold the navigation");
  }
}

function toggleFold() {
  if (root.dataset.nav === "folded") delete root.dataset.nav;
  else root.dataset.nav = "folded";
  store("nav", root.dataset.nav || null);
  showFold();
}

function closeMenus(except) {
  for (const menu of document.querySelectorAll("details.menu[open]")) if (menu !== except) menu.open = false;
}

// --- Toasts ------------------------------------------------------------------------------------
const TOAST_SECONDS = { error: 12, warning: 9 };

function putAwayLater(toast) {
  if (toast.dataset.timed) return;
  toast.dataset.timed = "yes";
  const level = [...toast.classList].find((name) => name.startsWith("toast-"))?.slice(6);
  let timer;
  const start = () => (timer = setTimeout(() => toast.remove(), 1000 * (TOAST_SECONDS[level] || 6)));
  toast.addEventListener("mouseenter", () => clearTimeout(timer));
  toast.addEventListener("mouseleave", start);
  start();
}

function toast(level, text) {
  const box = document.createElement("div");
  box.className = `toast toast-${level}`;
  box.setAttribute("role", level === "error" ? "alert" : "status");
  const words = document.createElement("p");
  words.textContent = text;
  const close = document.createElement("button");
  close.type = "button";
  close.className = "icon-btn toast-close";
  close.setAttribute("aria-label", "Dismiss");
  close.textContent = "×";
  box.append(words, close);
  document.getElementById("toasts")?.append(box);
}

// --- Confirmations -----------------------------------------------------------------------------
function ask(question, action, danger, then) {
  const dialog = document.createElement("dialog");
  const words = document.createElement("p");
  words.textContent = question;
  words.id = "confirm-question";
  dialog.setAttribute("aria-labelledby", words.id);
  const row = document.createElement("form");
  row.method = "dialog";
  row.className = "form-actions";
  const no = document.createElement("button");
  no.className = "btn";
  no.value = "no";
  no.textContent = "Keep it as it is";
  const yes = document.createElement("button");
  yes.className = `btn ${danger ? "btn-danger-fill" : "btn-primary"}`;
  yes.value = "yes";
  yes.textContent = action;
  row.append(no, yes);
  dialog.append(words, row);
  document.body.append(dialog);
  dialog.addEventListener("close", () => {
    const sure = dialog.returnValue === "yes";
    dialog.remove();
    if (sure) then();
  });
  dialog.showModal();
}

document.addEventListener(
  "submit",
  (event) => {
    const form = event.target;
    const question = event.submitter?.dataset.confirm || form.dataset.confirm;
    if (!question || form.dataset.sure) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    const button = event.submitter || form.querySelector("[type=submit]");
    const danger = Boolean(button?.matches(".btn-danger"));
    ask(question, button?.textContent.trim() || "Yes", danger, () => {
      form.dataset.sure = "yes";
      form.requestSubmit(event.submitter);
      delete form.dataset.sure;
    });
  },
  true,
);

document.addEventListener("htmx:confirm", (event) => {
  if (!event.detail.question) return;
  event.preventDefault();
  const button = event.detail.elt;
  ask(event.detail.question, button.textContent.trim() || "Yes", button.matches(".btn-danger"), () => event.detail.issueRequest(true));
});

// A plain form that has been sent shows that it is busy; coming back with the Back button frees it.
document.addEventListener("submit", (event) => {
  if (!event.defaultPrevented && event.target.method === "post") event.target.classList.add("busy");
});
window.addEventListener("pageshow", () => document.querySelectorAll("form.busy").forEach((form) => form.classList.remove("busy")));

// --- Clicks and keys ---------------------------------------------------------------------------
document.addEventListener("click", (event) => {
  const target = event.target.closest("button, summary, a");
  closeMenus(event.target.closest("details.menu"));
  if (!target) return;
  if (target.dataset.themeChoice) chooseTheme(target.dataset.themeChoice);
  else if (target.matches(".nav-fold")) toggleFold();
  else if (target.matches(".toast-close")) target.closest(".toast").remove();
  else if (target.dataset.copy) copy(target);
});

document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  const menu = document.activeElement.closest("details.menu[open]");
  closeMenus();
  menu?.querySelector("summary").focus(); // else the focus would be on what is hidden now
});

async function copy(button) {
  const source = document.querySelector(button.dataset.copy);
  try {
    await navigator.clipboard.writeText(source.value ?? source.textContent.trim());
    toast("success", "Copied.");
  } catch {
    toast("error", "The browser did not allow copying. Select the text and copy it by hand.");
  }
}

// --- Dropped files -----------------------------------------------------------------------------
function humanSize(bytes) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let unit = 0;
  while (bytes >= 1000 && unit < units.length - 1) [bytes, unit] = [bytes / 1000, unit + 1];
  return `${unit && bytes < 100 ? bytes.toFixed(1) : Math.round(bytes)} ${units[unit]}`;
}

function listFiles(zone) {
  const input = zone.querySelector("input[type=file]");
  const list = zone.querySelector(".dropzone-files");
  list?.replaceChildren(
    ...[...input.files].map((file) => {
      const item = document.createElement("li");
      item.textContent = `${file.name} · ${humanSize(file.size)}`;
      return item;
    }),
  );
}

for (const kind of ["dragenter", "dragover", "dragleave", "drop"]) {
  document.addEventListener(kind, (event) => {
    const zone = event.target.closest?.(".dropzone");
    if (!zone) return;
    event.preventDefault();
    if (kind !== "dragleave") zone.classList.toggle("over", kind !== "drop");
    else if (!zone.contains(event.relatedTarget)) zone.classList.remove("over");
    if (kind !== "drop") return;
    const input = zone.querySelector("input[type=file]");
    const dropped = new DataTransfer();
    const wanted = [...event.dataTransfer.files].slice(0, input.multiple ? undefined : 1);
    for (const file of wanted) dropped.items.add(file);
    input.files = dropped.files;
    input.dispatchEvent(new Event("change", { bubbles: true }));
  });
}

document.addEventListener("change", (event) => {
  const zone = event.target.matches?.("input[type=file]") && event.target.closest(".dropzone");
  if (zone) listFiles(zone);
});

// --- Relative times ----------------------------------------------------------------------------
function span(seconds) {
  if (seconds < 60) return `${Math.floor(seconds)} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)} h`;
  return `${Math.floor(seconds / 86400)} d`;
}

function ago(seconds) {
  if (seconds < -10) return `in ${span(-seconds)}`;
  return seconds < 10 ? "just now" : `${span(seconds)} ago`;
}

function refreshTimes() {
  for (const time of document.querySelectorAll("time[datetime][title]")) {
    const words = ago((Date.now() - Date.parse(time.dateTime)) / 1000);
    if (time.textContent !== words) time.textContent = words;
  }
}

// --- Tables on a phone -------------------------------------------------------------------------
// A narrow screen shows each row as a small card; its cells carry their column's name (app.css: .labelled).
function labelTables() {
  for (const table of document.querySelectorAll("table.table:not(.plain)")) {
    const heads = [...(table.tHead?.rows[0]?.cells ?? [])];
    const names = heads.map((cell) => (cell.querySelector(".visually-hidden") ? "" : cell.textContent.trim()));
    if (names.length < 4) continue;
    table.classList.add("labelled");
    for (const body of table.tBodies) {
      for (const row of body.rows) [...row.cells].forEach((cell, index) => labelCell(cell, names[index] ?? ""));
    }
  }
}

function labelCell(cell, name) {
  cell.dataset.label = name;
  cell.toggleAttribute("data-empty", !cell.textContent.trim() && !cell.querySelector("input, img, svg, progress"));
}

// --- Scrolling by keyboard ---------------------------------------------------------------------
// What scrolls sideways must be reachable with the Tab key.
function reachScrollers() {
  for (const box of document.querySelectorAll("pre.code, .table-wrap, .tabs, .model-card table")) {
    if (box.scrollWidth > box.clientWidth && !box.querySelector("a, button")) box.tabIndex = 0;
  }
}

// --- htmx --------------------------------------------------------------------------------------
document.addEventListener("htmx:beforeSwap", (event) => {
  const { xhr } = event.detail;
  // The session ended: htmx followed the redirect and holds the sign-in page. Go there for real.
  if (new URL(xhr.responseURL || location.href).pathname === "/sign-in" && location.pathname !== "/sign-in") {
    event.detail.shouldSwap = false;
    location.reload();
    return;
  }
  // A refused form comes back with its errors and is shown; so is the toast of a refused action.
  const retargeted = xhr.getResponseHeader("HX-Retarget");
  if ([400, 409, 413, 422].includes(xhr.status) || (xhr.status >= 400 && retargeted)) {
    event.detail.shouldSwap = true;
    event.detail.isError = false;
  }
});

document.addEventListener("htmx:responseError", (event) => {
  const status = event.detail.xhr.status;
  if (status === 404) toast("error", "It is not there any more.");
  else if (status === 429) toast("error", "Too many requests. Wait a moment and try again.");
  else toast("error", "The server could not do that. Try again; the reason is in its log.");
});

let lastSendError = 0;
document.addEventListener("htmx:sendError", () => {
  if (Date.now() - lastSendError < 15000) return; // a page that polls would say it every few seconds
  lastSendError = Date.now();
  toast("error", "The server does not answer. Is it running?");
});

function settle() {
  document.querySelectorAll(".toast").forEach(putAwayLater);
  showTheme();
  showFold();
  refreshTimes();
  labelTables();
  reachScrollers();
}

settle();
// On a phone the tab that is open may lie beyond the edge.
for (const tab of document.querySelectorAll(".tabs [aria-current]")) tab.closest(".tabs").scrollLeft = tab.offsetLeft - 60;
window.addEventListener("resize", reachScrollers);
setInterval(refreshTimes, 20000);
new MutationObserver(() => document.querySelectorAll("#toasts .toast").forEach(putAwayLater)).observe(
  document.getElementById("toasts") || document.body,
  { childList: true },
);
document.addEventListener("htmx:afterSettle", settle);
