// The two plots, by Bokeh: two numbers of all runs, and the chosen run's losses. A click chooses.
"use strict";

(() => {
  const { data, runs, state } = explorer;
  if (!runs.length) return;
  Bokeh.set_log_level("error");
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
  const LOSSES = ["total", "content", "style"];
  const COLOURS = { total: ["#222222", "#e4e4e2"], content: ["#d55e00", "#f0a060"], style: ["#0072b2", "#6cb8e6"] };

  function scaleFor(values, name) {
    if (name === "ssim") return "linear"; // it ends at 1, and what matters lies near it
    const [low, high] = [Math.min(...values), Math.max(...values)];
    return low > 0 && high / low > 10 ? "log" : "linear";
  }

  function figure(attributes) {
    const made = Bokeh.Plotting.figure({
      sizing_mode: "stretch_both", tools: "pan,box_zoom,wheel_zoom,reset,tap", toolbar_location: "above",
      background_fill_color: null, border_fill_color: null, outline_line_color: colour("line"), min_border: 4, ...attributes,
    });
    made.toolbar.setv({ logo: null, active_drag: null, active_scroll: null, autohide: true });
    const [ink, line] = [colour("soft"), colour("line")];
    for (const axis of made.axes) {
      axis.setv({
        axis_line_color: line, major_tick_line_color: line, minor_tick_line_color: null, major_label_text_color: ink,
        axis_label_text_color: ink, axis_label_text_font_style: "normal", axis_label_text_font_size: "13px",
      });
      if (axis.formatter.type === "BasicTickFormatter") axis.formatter.setv({ power_limit_high: 6 });
      axis.ticker.desired_num_ticks = 5;
      if (axis.ticker.type === "LogTicker") axis.ticker.mantissas = [1, 2, 5];
    }
    for (const grid of made.grids) grid.setv({ grid_line_color: line, grid_line_alpha: 0.5 });
    return made;
  }

  const views = {};
  const turn = {};

  // A plot in place of the one before; of two at a time the later one stays.
  async function show(made, id) {
    const mine = (turn[id] = (turn[id] ?? 0) + 1);
    views[id]?.remove();
    delete views[id];
    const view = await Bokeh.Plotting.show(made, document.getElementById(id));
    if (turn[id] === mine) views[id] = view;
    else view.remove();
  }

  // ---- two numbers of all runs -----------------------------------------------------------------------------------

  let points = null; // of the scatter: a source, and the runs that have both numbers

  function valuesOf(key) {
    const place = data.columns.findIndex((column) => column.key === key);
    return runs.map((run) => run.row[place] ?? null);
  }

  function looks(of) {
    const [mark, soft] = [colour("mark"), colour("soft")];
    const isOnFront = (k) => runs[k].front && state.x === data.x && state.y === data.y; // of other numbers it is none
    const filled = (k) => (k === state.run || isOnFront(k) ? mark : soft);
    return {
      fill: of.map((k) => (runs[k].mark ? "transparent" : filled(k))), // one that had not settled is hollow
      edge: of.map((k) => (k === state.run ? colour("ink") : k === state.second?.run ? colour("warn") : runs[k].mark ? filled(k) : "transparent")),
      size: of.map((k) => (k === state.run ? 14 : isOnFront(k) ? 10 : 8)),
      alpha: of.map((k) => (explorer.shown[k] ? (isOnFront(k) || k === state.run ? 1 : 0.7) : 0.1)),
    };
  }

  function drawScatter() {
    const [x, y] = [valuesOf(state.x), valuesOf(state.y)];
    const of = runs.map((_, k) => k).filter((k) => x[k] !== null && y[k] !== null);
    if (!of.length) {
      points = null;
      views.scatter?.remove();
      delete views.scatter;
      return;
    }
    const [xs, ys] = [of.map((k) => x[k]), of.map((k) => y[k])];
    const source = new Bokeh.ColumnDataSource({
      data: { x: xs, y: ys, name: of.map((k) => runs[k].name + (runs[k].mark ? `, ${runs[k].mark} not settled` : "")), across: xs.map(explorer.text), up: ys.map(explorer.text), ...looks(of) },
    });
    points = { source, of };
    const made = figure({ x_axis_type: scaleFor(xs, state.x), y_axis_type: scaleFor(ys, state.y), x_axis_label: state.x, y_axis_label: state.y });
    if (data.front && state.x === data.x && state.y === data.y) {
      const front = of.filter((k) => runs[k].front).sort((a, b) => x[a] - x[b]);
      made.step(front.map((k) => x[k]), front.map((k) => y[k]), data.front, { line_color: colour("mark"), line_width: 1.5 });
    }
    const drawn = made.scatter({ field: "x" }, { field: "y" }, {
      source, size: { field: "size" }, fill_color: { field: "fill" }, fill_alpha: { field: "alpha" }, line_color: { field: "edge" }, line_alpha: { field: "alpha" }, line_width: 2,
    });
    made.add_tools(new Bokeh.HoverTool({ renderers: [drawn], tooltips: [["", "@name"], [state.x, "@across"], [state.y, "@up"]] }));
    source.selected.properties.indices.change.connect(() => {
      const [place] = source.selected.indices;
      if (place === undefined) return;
      source.selected.indices = [];
      explorer.choose({ run: of[place] });
    });
    show(made, "scatter");
  }

  function markScatter() {
    if (points) points.source.data = { ...points.source.data, ...looks(points.of) };
  }

  // ---- the losses of the chosen run ------------------------------------------------------------------------------

  let curves = null;

  function lossesOf(run) {
    const kept = Object.fromEntries(["evaluation", ...LOSSES].map((name) => [name, run?.losses[name] ?? []]));
    for (const name of LOSSES) kept[name] = kept[name].map((value) => (value > 0 ? value : NaN)); // a gap on a log axis
    return kept;
  }

  const otherRun = () => (state.second?.run === undefined ? undefined : runs[state.second.run]);

  function drawCurves() {
    const made = figure({ x_axis_type: "log", y_axis_type: "log", x_axis_label: "evaluation", tools: "tap", toolbar_location: null });
    const [own, other] = [undefined, undefined].map(() => new Bokeh.ColumnDataSource({ data: lossesOf() }));
    for (const name of LOSSES) {
      const look = { line_color: COLOURS[name][dark.matches ? 1 : 0], line_width: 2 };
      made.line({ field: "evaluation" }, { field: name }, { source: other, ...look, line_width: 1.5, line_dash: "dashed" });
      made.line({ field: "evaluation" }, { field: name }, { source: own, ...look, legend_label: name });
    }
    made.legend.setv({
      background_fill_color: colour("ground"), background_fill_alpha: 0.7, border_line_color: null, location: "bottom_left",
      label_text_color: colour("soft"), label_text_font_size: "12px", padding: 2, margin: 2, spacing: 0, glyph_width: 14,
      label_height: 14, glyph_height: 14,
    });
    const last = Math.max(1, ...runs.map((run) => run.losses.evaluation?.at(-1) ?? 1));
    const powers = [1, 10, 100, 1e3, 1e4, 1e5, 1e6];
    const ticks = (last < 200 ? powers.flatMap((power) => [power, 2 * power, 5 * power]) : powers).filter((tick) => tick <= last);
    made.xaxes[0].setv({
      ticker: new Bokeh.FixedTicker({ ticks }), formatter: new Bokeh.BasicTickFormatter({ power_limit_high: 7 }),
    });
    const here = new Bokeh.Span({ location: 1, dimension: "height", line_color: colour("mark"), line_width: 2 });
    made.add_layout(here);
    made.on_event("tap", tapped);
    curves = { own, other, here };
    show(made, "curves");
    followRun();
  }

  // The picture that was kept nearest to a click, on the logarithmic axis.
  function tapped(event) {
    const { iterates } = runs[state.run];
    const apart = (evaluation) => Math.abs(Math.log(evaluation / event.x));
    if (iterates.length) explorer.choose({ at: iterates.reduce((best, each) => (apart(each) < apart(best) ? each : best)) });
  }

  function followRun() {
    if (!curves) return;
    const run = runs[state.run];
    curves.own.data = lossesOf(run);
    curves.other.data = lossesOf(otherRun());
    const at = explorer.kept(run, state.at);
    curves.here.location = at === explorer.finished ? (run.kept ?? run.losses.evaluation?.at(-1) ?? 1) : (at ?? 1);
  }

  function drawBoth() {
    drawScatter();
    drawCurves();
  }

  explorer.on("chosen", () => {
    markScatter();
    followRun();
  });
  explorer.on("filtered", markScatter);
  explorer.on("plotted", drawScatter);
  dark.addEventListener("change", drawBoth);
  drawBoth();
})();
