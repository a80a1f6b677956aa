// The upload page: each file goes in a request of its own, with its own progress bar and outcome. Without this the form is sent as it is.
"use strict";

const INDEX = "dataset_info.json"; // LLaMA-Factory's description of the files beside it; it goes along with each of them
const AT_ONCE = 2;

function humanRate(done, began) {
  const seconds = Math.max((performance.now() - began) / 1000, 0.1);
  return { rate: done / seconds, seconds };
}

function uploadRow(file) {
  const row = document.createElement("li");
  row.className = "upload-row";
  const badge = document.createElement("span");
  badge.className = "badge badge-run";
  badge.textContent = "waiting";
  const what = document.createElement("div");
  what.className = "upload-what";
  const name = document.createElement("strong");
  name.textContent = file.name;
  const bar = document.createElement("div");
  bar.className = "progress";
  const progress = document.createElement("progress");
  progress.max = 1;
  progress.value = 0;
  progress.setAttribute("aria-label", `Upload of ${file.name}`);
  const words = document.createElement("span");
  words.className = "progress-label";
  words.textContent = humanSize(file.size);
  bar.append(progress, words);
  what.append(name, bar);
  row.append(badge, what);
  return { row, badge, progress, words };
}

function showProgress(shown, began, event) {
  shown.badge.textContent = "uploading";
  if (!event.lengthComputable) return;
  const { rate } = humanRate(event.loaded, began);
  const left = Math.ceil((event.total - event.loaded) / Math.max(rate, 1));
  shown.progress.value = event.loaded / event.total;
  shown.words.textContent =
    event.loaded < event.total
      ? `${humanSize(event.loaded)} of ${humanSize(event.total)} · ${humanSize(rate)}/s · ${left} s left`
      : "Arrived; the server takes it in";
}

function refused(shown, text) {
  shown.badge.className = "badge badge-bad";
  shown.badge.textContent = "refused";
  shown.words.textContent = text;
  shown.progress.remove();
}

function reasonOf(request) {
  try {
    return JSON.parse(request.responseText).detail;
  } catch {
    return request.status === 413 ? "The file is larger than the server takes." : `The server answered ${request.status}. Try again.`;
  }
}

// Resolves when the file's fate is shown; gives the rows that the server sent.
function send(form, file, extras, shown) {
  return new Promise((resolve) => {
    const body = new FormData(form);
    body.delete("file");
    for (const each of [file, ...extras]) body.append("file", each);
    const request = new XMLHttpRequest();
    const began = performance.now();
    request.open("POST", form.action);
    request.setRequestHeader("HX-Request", "true");
    request.upload.addEventListener("progress", (event) => showProgress(shown, began, event));
    request.addEventListener("load", () => {
      if (new URL(request.responseURL).pathname === "/sign-in") return location.reload();
      if (request.status !== 200) {
        refused(shown, reasonOf(request));
        return resolve([]);
      }
      const template = document.createElement("template");
      template.innerHTML = request.responseText;
      let rows = [...template.content.querySelectorAll("li")];
      if (extras.length) rows = rows.filter((row) => !row.textContent.includes(INDEX) || row.dataset.dataset);
      shown.row.replaceWith(...rows);
      rows.forEach((row) => htmx.process(row));
      resolve(rows);
    });
    request.addEventListener("error", () => {
      refused(shown, "The connection broke. Nothing was kept; try again.");
      resolve([]);
    });
    request.send(body);
  });
}

async function sendAll(form, files) {
  const list = document.querySelector("#uploads .uploads");
  document.getElementById("uploads").hidden = false;
  const extras = files.filter((file) => file.name === INDEX);
  const data = files.filter((file) => file.name !== INDEX);
  const alone = data.length === 0;
  const queue = (alone ? extras : data).map((file) => ({ file, shown: uploadRow(file) }));
  for (const { shown } of queue) list.append(shown.row);
  list.scrollIntoView({ block: "nearest" });
  const results = [];
  const work = async () => {
    for (let next = queue.shift(); next; next = queue.shift()) {
      results.push(...(await send(form, next.file, alone ? [] : extras, next.shown)));
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  return results;
}

document.getElementById("upload-form")?.addEventListener("submit", async (event) => {
  const form = event.target;
  const files = [...form.querySelector("input[type=file]").files];
  if (!files.length || !window.htmx) return;
  event.preventDefault();
  const button = form.querySelector("[type=submit]");
  button.disabled = true;
  const results = await sendAll(form, files);
  button.disabled = false;
  if (files.length === 1 && results.length === 1 && results[0].dataset.dataset) {
    location.href = results[0].dataset.dataset;
    return;
  }
  form.querySelector("input[type=file]").value = "";
  form.querySelector(".dropzone-files")?.replaceChildren();
});
