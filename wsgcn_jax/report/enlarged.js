"use strict";
// Scrolls a row of buttons sideways, where it is wider than the screen, to the pressed one.
function showPressed(within) {
  const row = within.querySelector(".layers");
  const button = row.querySelector("[aria-pressed=true]");
  if (!button) return;
  const middle = button.offsetLeft - row.offsetLeft + button.offsetWidth / 2;
  row.scrollLeft = middle - row.clientWidth / 2;
}

// The enlarged photo. `makeEnlarged` takes what the grid knows: shown() lists its cards in order,
// setOverlay(image, photo) draws the chosen layer, fade(card) follows the card's slider, verdict
// and chip put scores into words. A card has photo, slider and the elements of the grid.
function makeEnlarged({ shown, setOverlay, fade, verdict, chip }) {
  const byId = (id) => document.getElementById(id);
  const dialog = byId("large");
  const stage = byId("stage");
  const frame = stage.querySelector(".frame");
  const image = stage.querySelector(".photo");
  const overlay = stage.querySelector(".overlay");
  let card = null;

  function fit(zoom) {
    const [width, height] = card.photo.size;
    const scale = Math.min(stage.clientWidth / width, stage.clientHeight / height) * zoom;
    frame.style.width = `${Math.floor(width * scale)}px`;
    frame.style.height = `${Math.floor(height * scale)}px`;
    stage.classList.toggle("close", zoom > 1);
  }

  function open(chosen) {
    card = chosen;
    const { photo } = card;
    byId("large-name").textContent = photo.name;
    byId("large-score").textContent = verdict(photo);
    const ids = new Set([...photo.classes, ...Object.keys(photo.iou).map(Number)]);
    const chips = [...ids].sort((a, b) => a - b).map((id) => chip(id, photo));
    byId("large-classes").replaceChildren(...chips);
    image.src = photo.photo;
    image.alt = photo.name;
    setOverlay(overlay, photo);
    byId("large-fade").value = card.slider.value;
    overlay.style.opacity = card.slider.value / 100;
    if (!dialog.open) dialog.showModal();
    showPressed(dialog);
    fit(1);
  }

  function redraw() {
    if (!card) return;
    setOverlay(overlay, card.photo);
    showPressed(dialog);
  }

  function turn(by) {
    const list = shown();
    open(list[(list.indexOf(card) + by + list.length) % list.length]);
  }

  byId("large-fade").addEventListener("input", (event) => {
    card.slider.value = event.target.value;
    fade(card);
    overlay.style.opacity = event.target.value / 100;
  });
  byId("previous").addEventListener("click", () => turn(-1));
  byId("next").addEventListener("click", () => turn(1));
  byId("close").addEventListener("click", () => dialog.close());
  dialog.addEventListener("close", () => (card = null));
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  stage.addEventListener("click", (event) => {
    const box = frame.getBoundingClientRect();
    const across = (event.clientX - box.left) / box.width;
    const down = (event.clientY - box.top) / box.height;
    fit(stage.classList.contains("close") ? 1 : 2.5);
    stage.scrollTo(
      across * stage.scrollWidth - stage.clientWidth / 2,
      down * stage.scrollHeight - stage.clientHeight / 2,
    );
  });
  window.addEventListener("resize", () => card && fit(1));
  document.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (card && step && event.target.type !== "range") turn(step);
  });

  return { open, redraw };
}
