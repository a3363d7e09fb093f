"use strict";
// The photos of the page. `data` holds `layers` [[id, title, meaning]], `classes` {id: [name,
// colour]}, `errors` [[meaning, colour]], `splits` [[id, title, note]] and `photos`, each with
// name, split, size [width, height], classes [id], score, iou {id: percent}, doubt, photo and
// layers {id: picture}. Names become text nodes only, never markup.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const byId = (id) => document.getElementById(id);
  const used = new Set(data.photos.flatMap((photo) => Object.keys(photo.layers)));
  const layers = data.layers.filter(([id]) => id === "photo" || used.has(id));
  const full = (split) => data.photos.some((photo) => photo.split === split);
  const state = {
    layer: used.has("final") ? "final" : "photo",
    split: (data.splits.find(([id]) => full(id)) || data.splits[0])[0],
    wanted: null,
    sort: "worst",
  };

  function make(tag, properties = {}, ...children) {
    const element = Object.assign(document.createElement(tag), properties);
    element.append(...children);
    return element;
  }

  function swatch(colour) {
    const element = make("span", { className: "swatch" });
    element.style.setProperty("--colour", colour);
    return element;
  }

  const percent = (value) => (value === null ? "–" : value.toFixed(1));
  const className = (id) => data.classes[id][0];

  function verdict(photo) {
    if (photo.score !== null) return `IoU ${percent(photo.score)}`;
    return photo.doubt === null ? "" : `doubt ${percent(photo.doubt)}`;
  }

  function meaningOfScore(photo) {
    if (photo.score !== null) return "Mean IoU of the classes in this photo, percent";
    return "How undecided the GCN is, percent";
  }

  function chip(id, photo) {
    const iou = photo.iou[id];
    const text = className(id) + (iou === undefined ? "" : ` ${percent(iou)}`);
    const title = iou === undefined ? "" : `IoU of ${className(id)} in this photo, percent`;
    const element = make("span", { title }, swatch(data.classes[id][1]), text);
    element.dataset.id = id;
    return element;
  }

  // One card a photo; its pictures are set when it comes into view.
  function makeCard(photo) {
    const [width, height] = photo.size;
    const image = make("img", { className: "photo", alt: photo.name, decoding: "async" });
    const overlay = make("img", { className: "overlay", alt: "", decoding: "async" });
    const frame = make("span", { className: "frame" }, image, overlay);
    frame.style.aspectRatio = `${width} / ${height}`;
    frame.style.width = `${Math.min(100, (75 * width) / height)}%`;
    const button = make("button", { title: "Enlarge" }, frame);
    button.setAttribute("aria-label", `Enlarge ${photo.name}`);
    const slider = make("input", { type: "range", min: 0, max: 100, value: 100 });
    slider.setAttribute("aria-label", `From photo to overlay, ${photo.name}`);
    slider.title = "From photo to overlay";
    const missing = make("span", { className: "missing" });
    const element = make(
      "article",
      { className: "card" },
      button,
      make(
        "div",
        { className: "under" },
        slider,
        make(
          "div",
          { className: "name" },
          make("span", { title: photo.name }, photo.name),
          make("span", { className: "score", title: meaningOfScore(photo) }, verdict(photo)),
        ),
        make("div", { className: "chips" }, ...photo.classes.map((id) => chip(id, photo))),
        missing,
      ),
    );
    const card = { photo, element, image, overlay, slider, missing, seen: false };
    slider.addEventListener("input", () => fade(card));
    button.addEventListener("click", () => enlarged.open(card));
    return card;
  }

  function fade(card) {
    card.overlay.style.opacity = card.slider.value / 100;
  }

  function setOverlay(image, photo) {
    const source = photo.layers[state.layer];
    if (source) image.src = source;
    else image.removeAttribute("src");
    return Boolean(source) || state.layer === "photo";
  }

  function draw(card) {
    if (!card.seen) return;
    if (!card.image.src) card.image.src = card.photo.photo;
    const there = setOverlay(card.overlay, card.photo);
    card.missing.textContent = there ? "" : "no such layer for this photo";
    card.slider.disabled = !card.photo.layers[state.layer];
  }

  const cards = data.photos.map(makeCard);
  const observer = new IntersectionObserver(
    (entries) => {
      for (const entry of entries.filter((e) => e.isIntersecting)) {
        const card = cards.find((c) => c.element === entry.target);
        card.seen = true;
        draw(card);
        observer.unobserve(card.element);
      }
    },
    { rootMargin: "300px" },
  );

  const scored = data.photos.some((photo) => photo.score !== null);
  const orders = {
    worst: [scored ? "worst first" : "most doubtful first", (a, b) => badness(b) - badness(a)],
    best: [scored ? "best first" : "least doubtful first", (a, b) => badness(a) - badness(b)],
    name: ["name", () => 0],
  };
  // Of the chosen class, if one is; without truth the doubtful count as the bad ones.
  function badness(photo) {
    const iou = photo.iou[state.wanted] ?? photo.score;
    return iou !== null ? -iou : photo.doubt || 0;
  }

  function shown() {
    const list = cards.filter(
      ({ photo }) =>
        photo.split === state.split &&
        (state.wanted === null || photo.classes.includes(state.wanted)),
    );
    const byName = (a, b) => a.photo.name.localeCompare(b.photo.name);
    return list.sort((a, b) => orders[state.sort][1](a.photo, b.photo) || byName(a, b));
  }

  const press = (button, on) => button.setAttribute("aria-pressed", String(on));

  function showLayers() {
    const there = new Set(["photo"]);
    const here = data.photos.filter((photo) => photo.split === state.split);
    for (const photo of here) for (const id of Object.keys(photo.layers)) there.add(id);
    if (!there.has(state.layer)) state.layer = there.has("final") ? "final" : "photo";
    for (const button of document.querySelectorAll(".layers button")) {
      press(button, button.dataset.layer === state.layer);
      button.disabled = !there.has(button.dataset.layer);
    }
    const legend = state.layer === "errors" ? data.errors : [];
    for (const told of document.querySelectorAll(".meaning")) {
      told.textContent = layers.find(([id]) => id === state.layer)[2];
      told.append(...legend.map(([name, colour]) => make("i", {}, swatch(colour), name)));
    }
    showPressed(byId("tools"));
    cards.forEach(draw);
    enlarged.redraw();
  }

  function showPhotos() {
    const list = shown();
    byId("grid").replaceChildren(...list.map((card) => card.element));
    for (const card of list) {
      if (!card.seen) observer.observe(card.element);
      for (const element of card.element.querySelectorAll(".chips > *")) {
        element.classList.toggle("wanted", element.dataset.id === String(state.wanted));
      }
    }
    const [, , note] = data.splits.find(([id]) => id === state.split);
    byId("note").textContent = note;
    byId("count").textContent = list.length === 1 ? "1 photo" : `${list.length} photos`;
    for (const button of byId("splits").children) press(button, button.dataset.id === state.split);
    for (const button of byId("classes").children) {
      press(button, button.dataset.id === String(state.wanted));
    }
  }

  function makeTools() {
    for (const [id, title, note] of data.splits) {
      const button = make("button", { disabled: !full(id), title: note }, title);
      button.dataset.id = id;
      button.addEventListener("click", () => {
        state.split = id;
        makeClasses();
        showLayers();
        showPhotos();
      });
      byId("splits").append(button);
    }
    for (const [id, [title]] of Object.entries(orders)) {
      byId("sort").append(make("option", { value: id }, title));
    }
    byId("sort").addEventListener("change", (event) => {
      state.sort = event.target.value;
      showPhotos();
    });
    for (const box of document.querySelectorAll(".layers")) {
      layers.forEach(([id, title, meaning], key) => {
        const button = make("button", { title: meaning }, title);
        if (key < 10) button.append(make("kbd", {}, String(key)));
        button.dataset.layer = id;
        button.addEventListener("click", () => choose(id));
        box.append(button);
      });
    }
  }

  function makeClasses() {
    const here = data.photos.filter((photo) => photo.split === state.split);
    const counts = new Map();
    for (const photo of here) {
      for (const id of photo.classes) counts.set(id, (counts.get(id) || 0) + 1);
    }
    if (!counts.has(state.wanted)) state.wanted = null;
    const all = make("button", {}, `all ${here.length}`);
    const rest = [...counts].sort(([a], [b]) => a - b);
    const buttons = rest.map(([id, count]) => {
      return [id, make("button", {}, swatch(data.classes[id][1]), `${className(id)} ${count}`)];
    });
    for (const [id, button] of [[null, all], ...buttons]) {
      button.dataset.id = String(id);
      button.addEventListener("click", () => {
        state.wanted = state.wanted === id ? null : id;
        showPhotos();
      });
    }
    byId("classes").replaceChildren(all, ...buttons.map(([, button]) => button));
  }

  function choose(id) {
    state.layer = id;
    showLayers();
  }

  const enlarged = makeEnlarged({ shown, setOverlay, fade, verdict, chip });

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.tagName === "SELECT") return;
    const layer = /^[0-9]$/.test(event.key) ? layers[Number(event.key)] : null;
    const button = layer && document.querySelector(`[data-layer="${layer[0]}"]`);
    if (button && !button.disabled) choose(layer[0]);
  });

  if (!data.photos.length) {
    byId("note").textContent = data.splits[0][2] || "There are no photos to show.";
    return;
  }
  byId("tools").hidden = false;
  makeTools();
  makeClasses();
  showLayers();
  showPhotos();
})();
