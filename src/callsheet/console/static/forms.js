// Forms: uploads of files, a choice of earlier ones, and a guard against double submits. Without JavaScript, files are given by URL.

import { preparePicker, showUpload } from "/static/file-picker.js";
import { upload } from "/static/upload.js";

const uploading = new Set();

const buttonsOf = (form) => form.querySelectorAll("button");

const send = async (area, file) => {
  const form = area.closest("form");
  const source = document.getElementById(area.dataset.upload);
  const progress = area.querySelector("progress");
  const [state, facts] = area.querySelectorAll("output");
  if (uploading.has(area)) return;
  uploading.add(area);
  progress.hidden = false;
  for (const button of buttonsOf(form)) button.disabled = true;
  try {
    facts.value = "";
    const record = await upload(file, form.elements.token.value, (step, done) => {
      progress.value = done;
      state.value = `${file.name}: ${step}, ${Math.round(done * 100)} %`;
    });
    source.value = record.source;
    state.value = `${file.name} is uploaded.`;
    showUpload(facts, record);
  } catch (error) {
    state.value = `${file.name} was not uploaded. ${error.message}`;
  } finally {
    uploading.delete(area);
    progress.hidden = true;
    for (const button of buttonsOf(form)) button.disabled = uploading.size > 0;
  }
};

for (const area of document.querySelectorAll("[data-upload]")) {
  const input = area.querySelector("input");
  area.hidden = false;
  preparePicker(area, document.getElementById(area.dataset.upload), area.querySelectorAll("output")[1]);
  input.addEventListener("change", () => input.files.length && send(area, input.files[0]));
  area.addEventListener("dragover", (event) => {
    event.preventDefault();
    area.classList.add("over");
  });
  area.addEventListener("dragleave", () => area.classList.remove("over"));
  area.addEventListener("drop", (event) => {
    event.preventDefault();
    area.classList.remove("over");
    if (event.dataTransfer.files.length) send(area, event.dataTransfer.files[0]);
  });
}

// The buttons are disabled after the event, because the pressed one is part of the form.
document.addEventListener("submit", ({ target }) => setTimeout(() => buttonsOf(target).forEach((button) => (button.disabled = true))));
window.addEventListener("pageshow", (event) => event.persisted && document.querySelectorAll("main button").forEach((button) => (button.disabled = false)));
