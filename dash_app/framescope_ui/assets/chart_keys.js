// Keys that act on what is on the page: zoom and pan of its main chart, the wall, the filter, the ways out.
// Like all single keys they are off while a field has the focus, and can be switched off altogether.
(function () {
  "use strict";
  const STEP = 0.2; // of the shown range, per key press
  const ROOT = document.documentElement;
  const WALLS = ["", "125", "150"];

  const one = (selector) => document.querySelector(selector);

  function kept(storage, name, value) {
    try {
      if (value === undefined) return storage.getItem(name) || "";
      storage.setItem(name, value);
    } catch (_) { /* refused */ }
    return "";
  }

  function chart() {
    return one("#waterfall .js-plotly-plot") || one("#strip .js-plotly-plot") || one(".fs-chart .js-plotly-plot");
  }

  const before = new WeakMap(); // chart → its range before the first key

  // Move and stretch the shown range; shares of its length, 1 leaves the length as it is.
  function show(by, stretch) {
    const gd = chart();
    const axis = gd && gd._fullLayout && gd._fullLayout.xaxis;
    if (!axis || !window.Plotly) return false;
    const [left, right] = axis.range.map((end) => axis.r2l(end));
    if (!before.has(gd)) before.set(gd, [...axis.range]);
    const middle = (left + right) / 2 + by * (right - left);
    const half = ((right - left) / 2) * stretch;
    if (!(half > 0)) return false;
    window.Plotly.relayout(gd, { "xaxis.range[0]": axis.l2r(middle - half), "xaxis.range[1]": axis.l2r(middle + half) });
    return true;
  }

  function reset() {
    const gd = chart();
    const range = gd && before.get(gd);
    if (range) {
      before.delete(gd);
      window.Plotly.relayout(gd, { "xaxis.range[0]": range[0], "xaxis.range[1]": range[1] });
      return true;
    }
    return false;
  }

  function wall() {
    const next = WALLS[(WALLS.indexOf(ROOT.dataset.wall || "") + 1) % WALLS.length];
    if (next) ROOT.dataset.wall = next;
    else delete ROOT.dataset.wall;
    kept(sessionStorage, "framescope-wall", next);
    window.dispatchEvent(new Event("resize")); // charts take the new width
  }

  function takeAway() {
    const menu = one("details.fs-take-away");
    if (menu) {
      menu.open = !menu.open;
      (menu.open ? menu.querySelector("button, a") : menu.querySelector("summary")).focus();
      return;
    }
    const save = one(".fs-save");
    if (save) save.focus();
  }

  function filter() {
    const field = one("#compare-id") || one(".fs-filters select, .fs-filters a") || one("#controls select");
    if (field) field.focus();
    return Boolean(field);
  }

  function switchKeys(off) {
    if (off) ROOT.dataset.keys = "off";
    else delete ROOT.dataset.keys;
    kept(localStorage, "framescope-keys", off ? "off" : "");
    say();
  }

  function say() {
    const button = one("#help-keys");
    if (!button) return;
    const off = ROOT.dataset.keys === "off";
    button.textContent = off ? "Single keys are off" : "Single keys are on";
    button.setAttribute("aria-pressed", String(!off));
  }

  document.addEventListener("click", (event) => {
    if (event.target.closest("#help-keys")) switchKeys(ROOT.dataset.keys !== "off");
    const help = event.target.closest("#help-open");
    if (help) {
      one("#help").hidden = false;
      say();
      one("#help-close").focus();
    }
    const menu = one("details.fs-take-away[open]");
    if (menu && !menu.contains(event.target)) menu.open = false;
  });

  document.addEventListener("keydown", (event) => {
    const at = event.target;
    const menu = one("details.fs-take-away[open]");
    if (event.key === "Escape" && menu) {
      menu.open = false;
      menu.querySelector("summary").focus();
      event.stopImmediatePropagation(); // the menu is left, not the page
      return;
    }
    if (event.metaKey || event.ctrlKey || event.altKey || ROOT.dataset.keys === "off") return;
    if (at.matches && at.matches("input, textarea, select, [contenteditable]")) return;
    const sideways = at.closest && at.closest(".ag-root, [role=tablist], [role=slider]");
    const keys = {
      w: wall,
      e: takeAway,
      "/": filter,
      ArrowLeft: () => !sideways && show(-STEP, 1),
      ArrowRight: () => !sideways && show(STEP, 1),
      "+": () => show(0, 1 / (1 + 2 * STEP)),
      "=": () => show(0, 1 / (1 + 2 * STEP)), // the same key without Shift
      "-": () => show(0, 1 + 2 * STEP),
      0: reset,
    };
    if (keys[event.key] && keys[event.key]() !== false) event.preventDefault();
  }, true);

  const wanted = kept(sessionStorage, "framescope-wall");
  if (WALLS.includes(wanted) && wanted) ROOT.dataset.wall = wanted;
  if (kept(localStorage, "framescope-keys") === "off") ROOT.dataset.keys = "off";
})();
