// The list of the Slow frames page: the rows that are picked, by mouse or keys; the last one is previewed. Which
// they are stands in the address, so that a copied link shows the same; writing it there draws nothing anew.
(function () {
  "use strict";
  const GRID = "frames-grid";
  const SETTLED_MS = 150; // of rows gone through faster than this only the last one is asked for
  const MOST_PICKED = 50; // frames that an address tells of
  let picked = null; // the row that is previewed, or will be
  let chosen = []; // all rows that are picked
  let current = null; // the row that keys go on from
  let settling = null; // until a grid that was drawn keeps what is picked: the rows to pick
  let settled = 0; // the timer that looks whether it does

  const grid = () => {
    try {
      return document.getElementById(GRID) ? window.dash_ag_grid.getApi(GRID) : null;
    } catch (_) {
      return null; // not drawn yet
    }
  };

  const idsOfAddress = () => (new URLSearchParams(window.location.search).get("frames") || "")
    .split(".").filter(Boolean).slice(0, MOST_PICKED);

  // Written there without drawing the page anew.
  function tellAddress(change) {
    const target = new URL(window.location.href);
    change(target.searchParams);
    window.history.replaceState(window.history.state, "", target.href);
  }

  function pickFirst(first) {
    const told = new URLSearchParams(window.location.search);
    const wanted = told.get("frame") || first || null;
    const several = idsOfAddress();
    picked = wanted;
    current = wanted;
    chosen = several.length ? several : [wanted];
    settling = wanted ? [...new Set([...several, wanted])] : null;
    sayPicked();
    clearInterval(settled);
    let tries = 50; // the rows arrive after the grid, and a grid that is drawn anew has forgotten
    let held = 0;
    settled = setInterval(() => {
      const api = grid();
      if (api && settling && api.getDisplayedRowCount() > 0) {
        held = api.getSelectedNodes().length ? held + 1 : 0;
        if (!held) pickInGrid(api, settling);
      }
      if (held === 5 || !settling || --tries === 0) {
        clearInterval(settled);
        settling = null;
      }
    }, 100);
    return wanted;
  }

  function pickInGrid(api, ids) {
    const nodes = ids.map((id) => api.getRowNode(id)).filter(Boolean);
    if (nodes.length) api.setNodesSelected({ nodes, newValue: true });
  }

  function pickRow(rows) {
    const ids = (rows || []).map((row) => row.id);
    if (!ids.length && settling) return window.dash_clientside.no_update; // drawn anew: picked again above
    if (settling) settling = ids;
    if (!ids.length) { // the last one was given back: it stays previewed
      chosen = [];
      sayPicked();
      return window.dash_clientside.no_update;
    }
    const added = ids.filter((id) => !chosen.includes(id));
    const id = added.length ? added[added.length - 1] : ids.includes(picked) ? picked : ids[ids.length - 1];
    const same = id === picked && ids.length === chosen.length && !added.length;
    const before = picked;
    chosen = ids;
    if (same) return window.dash_clientside.no_update;
    picked = current = id;
    tellAddress((query) => {
      query.set("frame", id);
      if (ids.length > 1) query.set("frames", ids.slice(0, MOST_PICKED).join("."));
      else query.delete("frames");
    });
    sayPicked();
    if (id === before) return window.dash_clientside.no_update;
    return new Promise((done) => {
      setTimeout(() => done(picked === id ? id : window.dash_clientside.no_update), SETTLED_MS);
    });
  }

  // Of several picked rows: how many, and the way to what sets them apart. On a phone none is previewed, and one
  // that is picked is told as well.
  function sayPicked() {
    const line = document.getElementById("picked");
    if (!line) return;
    line.hidden = chosen.length < (boxes().length ? 1 : 2);
    if (line.hidden) return;
    const over = chosen.length > MOST_PICKED ? `, the first ${MOST_PICKED} of them compared` : "";
    const more = chosen.length < 2 ? ", tick others to compare them, or " : ": ";
    document.getElementById("picked-count").textContent = `${chosen.length} picked${over}${more}`;
    line.classList.toggle("fs-picked-one", chosen.length < 2);
    const link = document.getElementById("picked-apart");
    const target = new URL(link.href);
    target.searchParams.set("frames", chosen.slice(0, MOST_PICKED).join("."));
    link.href = target.href;
  }

  // ---- the list of a phone: a box before each row ----
  const boxes = () => [...document.querySelectorAll("#frames-list [data-pick]")];

  function showBoxes() {
    boxes().forEach((box) => box.setAttribute("aria-checked", String(chosen.includes(box.dataset.pick))));
    sayPicked();
  }

  // The list was drawn: what the address says is picked.
  function pickedBefore() {
    if (boxes().length) {
      chosen = idsOfAddress();
      showBoxes();
    }
    return window.dash_clientside.no_update;
  }

  function pickBox(box) {
    const id = box.dataset.pick;
    chosen = chosen.includes(id) ? chosen.filter((one) => one !== id) : [...chosen, id];
    tellAddress((query) => {
      if (chosen.length) query.set("frames", chosen.slice(0, MOST_PICKED).join("."));
      else query.delete("frames");
    });
    showBoxes();
  }

  // Back to the previewed row alone, on a phone to none. False where there is no more than that.
  function pickOne() {
    if (boxes().length) {
      const some = chosen.length > 0;
      chosen = [];
      tellAddress((query) => query.delete("frames"));
      showBoxes();
      return some;
    }
    const api = grid();
    if (!api || chosen.length < 2) return false;
    const node = current && api.getRowNode(current);
    if (node) node.setSelected(true, true);
    else api.deselectAll();
    return true;
  }

  document.addEventListener("click", (event) => {
    const box = event.target.closest("#frames-list [data-pick]");
    if (box) pickBox(box);
    if (event.target.closest("#picked-one")) pickOne();
  });

  // One row down or up, beside those that are picked or alone; at the end of what is loaded, more is loaded.
  // False where there is no grid.
  function stepRow(by, beside) {
    const api = grid();
    if (!api) return false;
    const count = api.getDisplayedRowCount();
    const node = current && api.getRowNode(current);
    const next = node ? node.rowIndex + by : 0;
    const more = document.getElementById("frames-more");
    if (next >= count && more && !more.hidden) more.click();
    const at = Math.min(Math.max(next, 0), count - 1);
    if (at < 0) return true;
    const there = api.getDisplayedRowAtIndex(at);
    current = there.id;
    if (settling) settling = beside ? [...settling, current] : [current];
    if (settling && beside) pickInGrid(api, settling); // the ones before may be forgotten just now
    else there.setSelected(true, !beside);
    api.ensureIndexVisible(at);
    api.setFocusedCell(at, "frame");
    return true;
  }

  // Enter with a row picked and the focus nowhere opens it.
  function openPicked() {
    const link = document.getElementById("preview-open");
    if (!link || !grid()) return false;
    link.click();
    return true;
  }

  // A box drawn on the strip: its width narrows the range, as on every chart; its height, the list.
  function boxed(layout) {
    const low = layout && layout["yaxis.range[0]"];
    const high = layout && layout["yaxis.range[1]"];
    if (low === undefined || high === undefined) return window.framescope.narrowed(layout);
    const drawn = document.querySelector("#strip .js-plotly-plot");
    const ms = (y) => Math.max(drawn && drawn.layout.yaxis.type === "log" ? 10 ** y : y, 0);
    const target = new URL(window.location.href);
    target.searchParams.set("latency_ms", `${ms(low).toFixed(3)}-${ms(high).toFixed(3)}`);
    window.history.replaceState(window.history.state, "", target.href); // narrowed goes on from there
    const range = drawn.layout.xaxis.range;
    window.framescope.narrowed({ "xaxis.range[0]": range[0], "xaxis.range[1]": range[1] });
    // The range may be the one it was: then the box alone is new.
    if (window.location.href === target.href) window.dispatchEvent(new CustomEvent("_dashprivate_pushstate"));
    return window.dash_clientside.no_update;
  }

  Object.assign(window.framescope, { pickFirst, pickedBefore, pickRow, pickOne, stepRow, openPicked, boxed });
})();
