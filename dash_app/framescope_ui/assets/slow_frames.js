// The list of the Slow frames page: the row that is picked, by mouse or keys. Which one it is stands in the
// address, so that a copied link shows the same preview; writing it there draws nothing anew.
(function () {
  "use strict";
  const GRID = "frames-grid";
  const SETTLED_MS = 150; // of rows gone through faster than this only the last one is asked for
  let picked = null; // the row that is previewed, or will be
  let current = null; // the row that keys go on from

  const grid = () => {
    try {
      return document.getElementById(GRID) ? window.dash_ag_grid.getApi(GRID) : null;
    } catch (_) {
      return null; // not drawn yet
    }
  };

  function pickFirst(first) {
    const wanted = new URLSearchParams(window.location.search).get("frame") || first || null;
    picked = wanted;
    current = wanted;
    let tries = 50; // the rows arrive after the grid
    const select = setInterval(() => {
      const api = grid();
      const node = api && wanted && api.getRowNode(wanted);
      if (node && current === wanted) node.setSelected(true, true);
      if (node || current !== wanted || --tries === 0) clearInterval(select);
    }, 100);
    return wanted;
  }

  function pickRow(rows) {
    const id = rows && rows.length ? rows[0].id : null;
    if (!id || id === picked) return window.dash_clientside.no_update;
    picked = current = id;
    const target = new URL(window.location.href);
    target.searchParams.set("frame", id);
    window.history.replaceState(window.history.state, "", target.href);
    return new Promise((done) => {
      setTimeout(() => done(picked === id ? id : window.dash_clientside.no_update), SETTLED_MS);
    });
  }

  // One row down or up; at the end of what is loaded, more is loaded. False where there is no grid.
  function stepRow(by) {
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
    there.setSelected(true, true);
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

  Object.assign(window.framescope, { pickFirst, pickRow, stepRow, openPicked, boxed });
})();
