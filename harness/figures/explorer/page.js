// The explorer: which run, at which evaluation, beside what. Every text is put in as text, never as markup.
"use strict";

const explorer = (() => {
  const byId = (id) => document.getElementById(id);
  const data = JSON.parse(byId("data").textContent);
  const { runs, axes, columns } = data;
  const finished = Infinity; // in place of an evaluation: the finished picture
  const state = { run: 0, at: finished, second: null, view: "one", swapped: false, split: 50, x: data.x, y: data.y };
  const listeners = { chosen: [], filtered: [], plotted: [] };
  const on = (what, listener) => listeners[what].push(listener);
  const tell = (what) => listeners[what].forEach((listener) => listener());

  function element(name, attributes = {}, ...children) {
    const made = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) {
      if (key in made) made[key] = value;
      else made.setAttribute(key, value);
    }
    made.append(...children);
    return made;
  }

  const RAISED = Object.fromEntries([..."0123456789-"].map((c, k) => [c, [..."⁰¹²³⁴⁵⁶⁷⁸⁹⁻"][k]]));

  function text(value) {
    if (value === null || value === undefined) return "–";
    if (typeof value !== "number") return String(value);
    if (Number.isInteger(value) && Math.abs(value) < 1e7) return String(value);
    const size = Math.abs(value);
    const isPlain = size === 0 || (size >= 1e-3 && size < 1e7);
    if (isPlain) return String(Number(value.toPrecision(4)));
    const [digits, power] = value.toExponential(3).split("e");
    return `${Number(digits)}·10${Number(power).toString().replace(/./g, (c) => RAISED[c])}`;
  }

  // ---- pictures --------------------------------------------------------------------------------------------------

  // The largest kept evaluation that is not beyond the wanted one, else the first; Infinity: the finished picture.
  function kept(run, at) {
    if (run.picture && (at === finished || !run.iterates.length)) return finished;
    const before = run.iterates.filter((evaluation) => evaluation <= at);
    return before.length ? before.at(-1) : run.iterates[0];
  }

  function pictureOf(run, wanted) {
    const at = kept(run, wanted);
    const why = run.status + (run.reason ? `: ${run.reason}` : "");
    if (at === undefined) return { name: run.name, nothing: why };
    if (at === finished) {
      const which = run.kept ? `finished (evaluation ${run.kept})` : "finished";
      return { name: `${run.name}, ${which}${run.mark ? `, ${run.mark} not settled` : ""}`, src: `${run.folder}/image.png` };
    }
    const src = `${run.folder}/iterates/${String(at).padStart(6, "0")}.png`;
    return { name: `${run.name}, evaluation ${at}${run.status === "done" ? "" : ` (${why})`}`, src };
  }

  function secondPicture() {
    if (state.second === null) return null;
    if (state.second.run !== undefined) return pictureOf(runs[state.second.run], state.at);
    const source = data.sources[state.second.source];
    const src = runs[state.run].sources[source.key];
    return src === undefined ? { name: source.name, nothing: `This run has no ${source.name}.` } : { name: source.name, src };
  }

  function put(figure, picture) {
    const [image, nothing] = figure.children;
    const src = picture.src ?? "";
    if (image.getAttribute("src") !== src) {
      if (src) image.src = src;
      else image.removeAttribute("src");
    }
    image.alt = picture.name;
    image.hidden = !src;
    nothing.textContent = picture.nothing ?? "";
    nothing.hidden = Boolean(src);
  }

  function whenMissing(event) {
    const image = event.target;
    const file = image.getAttribute("src");
    if (!file) return;
    image.hidden = true;
    image.nextElementSibling.textContent = `${decodeURIComponent(file)} is missing`;
    image.nextElementSibling.hidden = false;
  }

  function drawStage() {
    const [first, other, stage] = [byId("first"), byId("other"), byId("pictures-shown")];
    const [picture, second] = [pictureOf(runs[state.run], state.at), secondPicture()];
    const view = second ? state.view : "one";
    put(first, picture);
    other.hidden = view === "one";
    if (second) put(other, second);
    stage.className = view + (state.swapped && view === "blink" ? " swapped" : "");
    stage.style.setProperty("--split", state.split);
    byId("split").hidden = view !== "split";
    byId("split").value = state.split;
    const names = [element("span", {}, picture.name)];
    if (view !== "one") names.push(view === "blink" ? " ⇄ " : " | ", element("span", {}, second.name));
    if (view === "blink") names.at(state.swapped ? -1 : 0).className = "seen";
    if (view === "blink") names.push(element("small", {}, " · click, or press Space"));
    byId("caption").replaceChildren(...names);
    byId("peek").firstElementChild.src = picture.src ?? "data:,";
    byId("peek").lastElementChild.textContent = picture.name;
    for (const radio of document.getElementsByName("view")) radio.checked = radio.value === view;
  }

  // ---- choosing --------------------------------------------------------------------------------------------------

  function choose(change) {
    Object.assign(state, change);
    drawStage();
    drawControls();
    drawNumbers();
    tell("chosen");
    remembering ??= setTimeout(remember, 300);
  }

  // The run with this value of an axis that is most like the present one in the others.
  function along(axis, value) {
    const here = runs[state.run].places;
    const distance = (run) =>
      run.places.reduce((sum, place, k) => {
        const apart = Math.abs(place - here[k]);
        return k === axis || !apart ? sum : sum + 1 + apart / axes[k].values.length;
      }, run.picture ? 0 : 0.01);
    let best = null;
    runs.forEach((run, k) => {
      if (run.places[axis] === value && (best === null || distance(run) < distance(runs[best]))) best = k;
    });
    if (best !== null) choose({ run: best });
  }

  const MOST_BUTTONS = 8;
  const MOST_LETTERS = 90;

  function makeAxis(axis, k) {
    if (axis.values.length > MOST_BUTTONS || axis.values.join("").length > MOST_LETTERS) {
      const slider = element("input", { type: "range", id: `axis-${k}`, min: 0, max: axis.values.length - 1, step: 1 });
      slider.addEventListener("input", () => along(k, slider.valueAsNumber));
      const label = element("label", { htmlFor: slider.id }, axis.name);
      return element("div", { className: "slider" }, label, slider, element("output", { "for": slider.id }));
    }
    const radios = axis.values.map((value, place) => {
      const radio = element("input", { type: "radio", name: `axis-${k}`, value: place });
      radio.addEventListener("change", () => along(k, place));
      return element("label", {}, radio, value);
    });
    return element("fieldset", { className: "choice" }, element("legend", {}, axis.name), ...radios);
  }

  function drawControls() {
    const run = runs[state.run];
    axes.forEach((axis, k) => {
      if (axis.values.length < 2) return; // nothing to choose: makeControls has made none
      const place = run.places[k];
      const slider = byId(`axis-${k}`);
      if (slider) {
        slider.value = place;
        slider.setAttribute("aria-valuetext", axis.values[place]);
        slider.parentElement.querySelector("output").textContent = axis.values[place];
      } else {
        document.getElementsByName(`axis-${k}`)[place].checked = true;
      }
    });
    const steps = [...run.iterates, ...(run.picture ? [finished] : [])];
    const slider = byId("evaluation");
    const at = kept(run, state.at);
    slider.max = Math.max(0, steps.length - 1);
    slider.value = steps.indexOf(at);
    slider.disabled = steps.length < 2;
    const told = at === undefined ? "none" : at === finished ? "finished" : String(at);
    slider.setAttribute("aria-valuetext", told);
    byId("evaluation-value").textContent = told;
    const { second } = state;
    byId("second").value = second === null ? "" : second.run === undefined ? `source ${second.source}` : `run ${second.run}`;
  }

  function makeControls() {
    byId("axes").append(...axes.filter((axis) => axis.values.length > 1).map((axis) => makeAxis(axis, axes.indexOf(axis))));
    const sources = data.sources.map((source, k) => element("option", { value: `source ${k}` }, source.name));
    const others = runs.map((run, k) => element("option", { value: `run ${k}`, disabled: !run.picture && !run.iterates.length }, run.name));
    byId("second").append(
      element("option", { value: "" }, "nothing"),
      ...(sources.length ? [element("optgroup", { label: "what it was made from" }, ...sources)] : []),
      element("optgroup", { label: "another run" }, ...others),
    );
    byId("second").addEventListener("change", (event) => {
      const [kind, number] = event.target.value.split(" ");
      const view = state.view === "one" ? "side" : state.view;
      choose(kind ? { second: { [kind]: Number(number) }, view, swapped: false } : { second: null, view: "one" });
      event.target.blur(); // so that Space blinks
    });
    byId("keep").addEventListener("click", () => choose({ second: { run: state.run }, view: state.view === "one" ? "side" : state.view }));
    byId("evaluation").addEventListener("input", (event) => {
      const run = runs[state.run];
      choose({ at: [...run.iterates, finished][event.target.valueAsNumber] });
    });
    for (const radio of document.getElementsByName("view")) {
      radio.addEventListener("change", () => choose({ view: radio.value, swapped: false, second: radio.value === "one" ? state.second : withSecond() }));
    }
    byId("copy").addEventListener("click", async (event) => {
      getSelection().selectAllChildren(byId("command"));
      const isCopied = await navigator.clipboard?.writeText(byId("command").textContent).then(() => true, () => false);
      event.target.textContent = isCopied || document.execCommand("copy") ? "copied" : "press Ctrl-C";
      setTimeout(() => (event.target.textContent = "copy"), 2000);
    });
    byId("peek").addEventListener("click", () => byId("viewer").scrollIntoView({ block: "start" }));
    new IntersectionObserver(([seen]) => (byId("peek").hidden = seen.isIntersecting)).observe(byId("pictures-shown"));
    byId("controls").addEventListener("submit", (event) => event.preventDefault());
    byId("split").addEventListener("input", (event) => choose({ split: event.target.valueAsNumber }));
    const stage = byId("pictures-shown");
    const splitAt = (event) => {
      const box = stage.getBoundingClientRect();
      choose({ split: Math.round(Math.min(100, Math.max(0, ((event.clientX - box.left) / box.width) * 100))) });
    };
    stage.addEventListener("pointerdown", (event) => {
      if (!stage.classList.contains("split")) return;
      stage.setPointerCapture(event.pointerId);
      splitAt(event);
    });
    stage.addEventListener("pointermove", (event) => stage.hasPointerCapture(event.pointerId) && splitAt(event));
    stage.addEventListener("click", () => stage.classList.contains("blink") && blink());
    for (const image of stage.querySelectorAll("img")) {
      image.addEventListener("error", whenMissing);
      image.draggable = false;
    }
    byId("first").firstElementChild.addEventListener("load", ({ target }) => {
      byId("stage").style.setProperty("--ratio", target.naturalWidth / target.naturalHeight);
    });
  }

  const withSecond = () => state.second ?? (data.sources.length ? { source: 0 } : { run: 0 });

  function blink() {
    choose({ second: withSecond(), swapped: state.view !== "blink" || !state.swapped, view: "blink" });
  }

  document.addEventListener("keydown", (event) => {
    if (event.key !== " " || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.closest?.("input[type=search], select, button, a, textarea")) return;
    event.preventDefault();
    blink();
  });

  // ---- numbers ---------------------------------------------------------------------------------------------------

  function lossesOf(run, wanted) {
    const at = kept(run, wanted);
    const evaluations = run.losses.evaluation ?? [];
    const place = evaluations.indexOf(at === finished ? (run.kept ?? evaluations.at(-1)) : at);
    return Object.fromEntries(["total", "content", "style"].map((name) => [name, place < 0 ? null : (run.losses[name]?.[place] ?? null)]));
  }

  const elsewhere = ["part", "evaluations", "kept_evaluation", ...axes.map((axis) => axis.name)];
  const isSaid = (key) => elsewhere.some((name) => key === name || key.startsWith(`${name}.`) || key.startsWith("loss/"));

  function drawNumbers() {
    const both = [runs[state.run], ...(state.second?.run === undefined ? [] : [runs[state.second.run]])];
    const line = (name, values) =>
      element("tr", {}, element("th", { scope: "row" }, name), ...values.map((value, k) => element("td", { className: k ? "of-second" : "" }, text(value))));
    const losses = both.map((run) => lossesOf(run, state.at));
    const of = Object.keys(losses[0]).map((name) => line(`${name} loss here`, losses.map((each) => each[name])));
    const metrics = columns
      .map((column, k) => [column.key, both.map((run) => run.row[k])])
      .filter(([key, values]) => !isSaid(key) && values.some((value) => value !== null));
    const table = byId("numbers").querySelector("table");
    for (const body of [...table.tBodies]) body.remove();
    table.append(
      element("tbody", { className: "loss" }, ...of),
      element("tbody", {}, ...metrics.map(([key, values]) => line(key, values))),
    );
    byId("numbers").classList.toggle("two", both.length > 1);
    byId("command").textContent = runs[state.run].command;
    byId("command").parentElement.scrollTop = 0;
  }

  // ---- the plot's axes, the address, the beginning ---------------------------------------------------------------

  function makePlotAxes() {
    const numbers = columns.filter((column) => column.number).map((column) => column.key);
    for (const side of ["x", "y"]) {
      byId(side).append(...numbers.map((key) => element("option", { value: key }, key)));
      byId(side).value = state[side];
      byId(side).addEventListener("change", (event) => {
        state[side] = event.target.value;
        tell("plotted");
      });
    }
    byId("plot").hidden = !numbers.length;
  }

  let remembering = null;
  addEventListener("pagehide", () => remembering && remember());

  // What is shown stands behind the address's #, so that a link, or loading again, shows it again.
  function remember() {
    clearTimeout(remembering); // browsers take a few a second
    remembering = null;
    const words = new URLSearchParams({ run: runs[state.run].id });
    if (state.at !== finished) words.set("at", state.at);
    if (state.second !== null) {
      const { run, source } = state.second;
      words.set("with", run === undefined ? data.sources[source].key : runs[run].id);
      words.set("view", state.view);
    }
    history.replaceState(null, "", `#${words}`);
  }

  function remembered() {
    const words = new URLSearchParams(location.hash.slice(1));
    const place = (id) => runs.findIndex((run) => run.id === id);
    const found = {};
    const begun = runs.findIndex((run) => run.picture);
    found.run = place(words.get("run")) >= 0 ? place(words.get("run")) : Math.max(0, begun);
    if (Number(words.get("at")) > 0) found.at = Number(words.get("at"));
    const source = data.sources.findIndex((each) => each.key === words.get("with"));
    if (source >= 0) found.second = { source };
    else if (place(words.get("with")) >= 0) found.second = { run: place(words.get("with")) };
    if (found.second && ["side", "split", "blink"].includes(words.get("view"))) found.view = words.get("view");
    return found;
  }

  if (runs.length) {
    makeControls();
    makePlotAxes();
    for (const part of document.querySelectorAll(".scripted")) part.hidden = false;
    choose(remembered());
  }
  const shown = runs.map(() => true); // by the filter
  return { data, runs, state, choose, kept, finished, element, text, on, tell, shown };
})();
