"use strict";
// The viewer: which sensors are there, which method and scene; everything shown follows from these.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const find = (selector) => document.querySelector(selector);
  const all = (selector) => [...document.querySelectorAll(selector)];
  const present = new Set(data.sensors);
  const number = (value, digits = 1) => (value == null ? "–" : value.toFixed(digits).replace("-", "−"));
  const key = () => data.sensors.filter((sensor) => present.has(sensor)).join("+");
  const scene = () => data.scenes[find("#scene").value];
  const maps = () => (scene() && scene().maps[find("#method").value]) || {};

  function element(name, text, attributes = {}) {
    const made = document.createElement(name);
    made.textContent = text;
    Object.entries(attributes).forEach(([attribute, value]) => made.setAttribute(attribute, value));
    return made;
  }

  function picture(panel, uri, alt, missing) {
    const image = panel.querySelector("img");
    if (uri) image.src = uri;
    else image.removeAttribute("src");
    panel.setAttribute("aria-label", uri ? alt : `${alt}: ${missing}`);
    panel.querySelector(".nothing").textContent = uri ? "" : missing;
  }

  function showSwitches() {
    const there = scene() ? Object.keys(scene().sensors) : data.sensors;
    all("[data-sensor]").forEach((button) => {
      const sensor = button.dataset.sensor;
      button.setAttribute("aria-checked", present.has(sensor));
      button.disabled = present.size === 1 && present.has(sensor);
      button.title = button.disabled ? "at least one sensor is needed" : there.includes(sensor) ? "" : "this scene lacks the sensor";
    });
    const buttons = Object.keys(maps()).map((name) => {
      const button = element("button", name, { type: "button", "aria-pressed": name === key() });
      button.addEventListener("click", () => choose(name.split("+")));
      return button;
    });
    find("#mapped").replaceChildren(...(buttons.length ? buttons : ["no map by this method"]));
  }

  function showNumbers() {
    const scores = data.scores[find("#method").value][key()];
    const entries = [["mIoU", number(scores.miou) + " %"], ["points from all sensors", key() === data.full ? "0" : number(scores.change)],
      ["overall accuracy", number(scores.oa) + " %"], ["mean F1", number(scores.f1) + " %"], ["calibration error", number(scores.ece) + " %"]];
    find("#numbers").replaceChildren(...entries.map(([name, value]) => {
      const box = element("div", "");
      box.append(element("b", value), element("span", name));
      return box;
    }));
    const missing = data.sensors.filter((sensor) => !present.has(sensor));
    find("#status").textContent = `${find("#method").value} with ${key()}${missing.length ? `, without ${missing.join(" and ")}` : ""}: mIoU ${number(scores.miou)} % on the ${data.split} split.`;
    showBars(scores.iou, data.scores[find("#method").value][data.full].iou);
  }

  function showBars(now, full) {
    all("#bars .bar").forEach((bar, index) => {
      bar.querySelector(".now").style.width = `${now[index] ?? 0}%`;
      bar.querySelector(".full").style.width = `${full[index] ?? 0}%`;
      const change = now[index] == null || full[index] == null || key() === data.full ? "" : ` (${now[index] > full[index] ? "+" : ""}${number(now[index] - full[index])})`;
      bar.querySelector(".value").replaceChildren(`${number(now[index])} %`, element("small", change));
    });
  }

  function showMaps() {
    const here = maps()[key()] || {};
    const what = `${find("#method").value} from ${key()} in ${find("#scene").value}`;
    const texts = { truth: ["Truth", scene().truth], prediction: [`Map by ${what}`, here.prediction], error: [`Errors of ${what}`, here.error], confidence: [`Confidence of ${what}`, here.confidence] };
    all("#maps .map").forEach((panel) => {
      const [alt, uri] = texts[panel.dataset.panel];
      const missing = panel.dataset.panel === "truth" ? "no labels" : here.prediction ? "not there" : `not mapped from ${key()}`;
      picture(panel, uri, alt, missing);
    });
    const right = here.right == null ? "" : `${number(100 * here.right)} % of the shown labelled pixels are right`;
    find('[data-panel="error"]').parentElement.querySelector("figcaption span").textContent = right;
    all("#sensors .map").forEach((panel) => {
      const sensor = panel.dataset.of, there = present.has(sensor);
      picture(panel, scene().sensors[sensor], `${sensor} of ${find("#scene").value}`, "not in this scene");
      panel.classList.toggle("off", !there);
      if (!there) panel.querySelector(".nothing").textContent = "missing";
    });
  }

  function show() {
    showSwitches();
    showNumbers();
    if (scene()) showMaps();
  }

  function choose(sensors) {
    present.clear();
    sensors.forEach((sensor) => present.add(sensor));
    show();
  }

  // Reading a map: a ring at the same place in every panel, and the classes there in words.
  const drawn = new Map();
  function colour(panel, x, y) {
    const image = panel && panel.querySelector("img");
    if (!image || !image.getAttribute("src") || !image.complete || !image.naturalWidth) return null;
    if (drawn.get(panel)?.src !== image.src) {
      const canvas = document.createElement("canvas");
      [canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight];
      const context = canvas.getContext("2d", { willReadFrequently: true });
      context.drawImage(image, 0, 0);
      drawn.set(panel, { src: image.src, context });
    }
    const column = Math.min(image.naturalWidth - 1, Math.floor(x * image.naturalWidth)), row = Math.min(image.naturalHeight - 1, Math.floor(y * image.naturalHeight));
    const pixel = drawn.get(panel).context.getImageData(column, row, 1, 1).data;
    return pixel[3] ? pixel : null;
  }
  const named = (pixel) => pixel && data.classes.find((one) => one.rgb.every((level, channel) => level === pixel[channel]))?.name;

  let place = null;
  function probe(x, y) {
    place = [Math.min(1, Math.max(0, x)), Math.min(1, Math.max(0, y))];
    all(".map").forEach((panel) => {
      panel.style.setProperty("--x", `${100 * place[0]}%`);
      panel.style.setProperty("--y", `${100 * place[1]}%`);
    });
    const [truth, map] = ["truth", "prediction"].map((panel) => named(colour(find(`[data-panel="${panel}"]`), ...place)) || "not known");
    find("#probe").textContent = `Here: truth ${truth}, map ${map}.`;
  }
  all(".map").forEach((panel) => {
    panel.addEventListener("pointermove", (event) => {
      const box = panel.getBoundingClientRect();
      probe((event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height);
    });
    panel.addEventListener("keydown", (event) => {
      const move = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
      if (!move) return;
      event.preventDefault();
      find("#probe").setAttribute("aria-live", "polite");
      const [x, y] = place || [0.5, 0.5];
      probe(x + move[0] / 64, y + move[1] / 64);
    });
    panel.querySelector("img").addEventListener("load", (event) => {
      find("#viewer").style.setProperty("--shape", `${event.target.naturalWidth} / ${event.target.naturalHeight}`);
      if (place) probe(...place);
    });
  });

  all("[data-sensor]").forEach((button) => button.addEventListener("click", () => {
    const sensor = button.dataset.sensor;
    choose(present.has(sensor) ? [...present].filter((other) => other !== sensor) : [...present, sensor]);
  }));
  all("#method, #scene").forEach((select) => select.addEventListener("change", show));
  show();
})();
