// The table of all runs and the grid of their pictures: choosing, sorting, filtering.
"use strict";

(() => {
  const { runs, state, choose, element, text, shown } = explorer;
  const { columns } = explorer.data;
  const byId = (id) => document.getElementById(id);
  const rowsOf = runs.map(() => null);
  const tilesOf = [...byId("pictures").children];
  const sorting = { key: null, down: false };
  let marked = null;

  function markChosen() {
    if (marked === state.run) return;
    if (marked !== null) {
      rowsOf[marked].setAttribute("aria-selected", "false");
      rowsOf[marked].tabIndex = -1;
      tilesOf[marked].removeAttribute("aria-current");
    }
    marked = state.run;
    rowsOf[marked].setAttribute("aria-selected", "true");
    rowsOf[marked].tabIndex = 0;
    tilesOf[marked].setAttribute("aria-current", "true");
    const [row, box] = [rowsOf[marked], byId("table").querySelector(".scrolling")];
    const head = box.querySelector("thead").offsetHeight;
    if (row.offsetTop < box.scrollTop + head) box.scrollTop = row.offsetTop - head;
    else if (row.offsetTop + row.offsetHeight > box.scrollTop + box.clientHeight) box.scrollTop = row.offsetTop + row.offsetHeight - box.clientHeight;
  }

  const cells = [
    { key: "run", number: false, of: (run) => run.name },
    { key: "status", number: false, of: (run) => run.status },
    ...columns.map((column, k) => ({ ...column, of: (run) => run.row[k] })),
  ];

  function makeTable() {
    const table = byId("table").querySelector("table");
    const heads = cells.map((cell) => {
      const button = element("button", { type: "button" }, cell.key);
      button.addEventListener("click", () => sortBy(cell.key));
      return element("th", { scope: "col", className: cell.number ? "number" : "" }, button);
    });
    table.tHead.append(element("tr", {}, ...heads));
    runs.forEach((run, k) => {
      const row = element("tr", { tabIndex: -1, "aria-selected": "false", "data-run": k });
      for (const cell of cells) {
        const value = cell.of(run);
        row.append(element("td", { className: cell.number ? "number" : "", title: typeof value === "string" ? value : "" }, text(value), ["run", "status"].includes(cell.key) ? run.mark : ""));
      }
      if (run.reason) row.title = run.reason;
      rowsOf[k] = row;
    });
    const [body] = table.tBodies;
    body.append(...rowsOf);
    const runOf = (event) => event.target.closest("[data-run]")?.dataset.run;
    body.addEventListener("click", (event) => choose({ run: Number(runOf(event)) }));
    body.addEventListener("keydown", moveInTable);
    byId("pictures").addEventListener("click", (event) => {
      if (runOf(event) === undefined || event.ctrlKey || event.metaKey || event.shiftKey) return;
      event.preventDefault();
      choose({ run: Number(runOf(event)) });
      byId("viewer").scrollIntoView({ block: "start" });
    });
    byId("filter").addEventListener("input", filter);
  }

  function moveInTable(event) {
    const rows = [...event.currentTarget.rows].filter((row) => !row.hidden);
    const here = rows.indexOf(event.target.closest("tr"));
    const to = { ArrowDown: here + 1, ArrowUp: here - 1, Home: 0, End: rows.length - 1, Enter: here }[event.key];
    if (to === undefined || !rows[to]) return;
    event.preventDefault();
    choose({ run: Number(rows[to].dataset.run) });
    rows[to].focus();
  }

  // Rising first, then falling; what is not there stands last either way.
  function sortBy(key) {
    sorting.down = sorting.key === key && !sorting.down;
    sorting.key = key;
    const cell = cells.find((each) => each.key === key);
    const sign = sorting.down ? -1 : 1;
    const order = runs.map((_, k) => k).sort((a, b) => {
      const [one, two] = [cell.of(runs[a]), cell.of(runs[b])];
      if (one === null || two === null || one === undefined || two === undefined) return (one ?? null) === (two ?? null) ? a - b : (one ?? null) === null ? 1 : -1;
      return sign * (cell.number ? one - two : String(one).localeCompare(String(two), undefined, { numeric: true })) || a - b;
    });
    byId("table").querySelector("tbody").append(...order.map((k) => rowsOf[k]));
    byId("pictures").append(...order.map((k) => tilesOf[k]));
    for (const head of byId("table").querySelectorAll("th")) {
      if (head.textContent === key) head.setAttribute("aria-sort", sorting.down ? "descending" : "ascending");
      else head.removeAttribute("aria-sort");
    }
  }

  const compare = {
    "<": (a, b) => a < b, ">": (a, b) => a > b, "<=": (a, b) => a <= b, ">=": (a, b) => a >= b,
    "=": (a, b) => a === b, "!=": (a, b) => a !== b,
  };

  // A condition from a word such as ssim>0.1 or status=done; any other word must stand in what the run is called.
  function condition(word) {
    const [, key, sign, wanted] = /^(.+?)(<=|>=|!=|=|<|>)(.*)$/.exec(word) ?? [];
    const cell = cells.find((each) => each.key === key) ?? cells.find((each) => each.key.toLowerCase() === key?.toLowerCase());
    if (key === undefined || (cell === undefined && runs.some((run) => run.name.includes(word)))) {
      const lower = word.toLowerCase();
      const told = (run) => [run.name, run.status, run.mark ? `${run.mark} not settled` : "", ...run.row.filter((value) => typeof value === "string")];
      return (run) => run.id.startsWith(lower) || told(run).join(" ").toLowerCase().includes(lower);
    }
    if (cell === undefined) throw new Error(`no column is called ${key}`);
    if (wanted === "") return () => true; // it is still being written
    if (cell.number) {
      const number = Number(wanted);
      if (Number.isNaN(number)) throw new Error(`${key} is a number, ${wanted} is not`);
      return (run) => (cell.of(run) ?? null) !== null && compare[sign](cell.of(run), number);
    }
    return (run) => compare[sign](String(cell.of(run) ?? "").toLowerCase(), wanted.toLowerCase());
  }

  function filter() {
    const told = byId("filtered");
    try {
      const conditions = byId("filter").value.replace(/\s*(<=|>=|!=|=|<|>)\s*/g, "$1").split(/\s+/).filter(Boolean).map(condition);
      runs.forEach((run, k) => (shown[k] = conditions.every((holds) => holds(run))));
      told.textContent = conditions.length ? `${shown.filter(Boolean).length} of ${runs.length}` : "";
      told.className = "";
    } catch (error) {
      shown.fill(true);
      told.textContent = error.message;
      told.className = "wrong";
    }
    runs.forEach((_, k) => {
      rowsOf[k].hidden = !shown[k];
      tilesOf[k].hidden = !shown[k];
    });
    explorer.tell("filtered");
  }

  if (!runs.length) return;
  makeTable();
  explorer.on("chosen", markChosen);
  markChosen();
})();
