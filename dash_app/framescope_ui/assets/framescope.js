// What the browser does by itself: navigation without reload, the live snapshot put in place, the clock,
// the watch over the connection, and the keyboard. Everything else is rendered on the server.
(function () {
  "use strict";
  const LIMIT_MS = 5000; // without a snapshot for this long the viewer is cut off
  const BASE = document.documentElement.dataset.base || ""; // what addresses begin with inside another app
  const PUSHED = document.documentElement.dataset.pushed !== "no";
  const PHONE = window.matchMedia("(max-width: 767.98px)");
  let lastAt = null; // server time of the newest snapshot, unix seconds
  let lastArrived = null; // local time it came at, ms
  let lastAge = null;
  let held = ""; // why the values do not go on though snapshots come
  let polls = 0;
  let asking = 0;
  let navigatedAt = Date.now();
  const started = Date.now();

  const set = (id, props) => window.dash_clientside.set_props(id, props);
  const one = (id) => document.getElementById(id);
  const has = (id) => one(id) !== null;

  function screen() {
    return {
      theme: document.documentElement.dataset.bsTheme,
      phone: PHONE.matches,
      base: BASE,
      minimal: view("detail") === "minimal",
      every: Number(view("every")) || 0,
      utc: view("zone") === "utc",
      zone: Intl.DateTimeFormat().resolvedOptions().timeZone,
      offset: -new Date().getTimezoneOffset(),
      n: ++asking,
    };
  }

  // ---- what this browser remembers of how to show things ---------------------------------------------
  function view(name) {
    try { return localStorage.getItem(`framescope-${name}`); } catch (_) { return null; }
  }

  function choose(name, value) {
    try { localStorage.setItem(`framescope-${name}`, value); } catch (_) { /* refused: as it was */ }
    set("screen", { data: screen() });
  }

  // Times are written in the browser's own zone or in UTC; the page says what that is called.
  const inUtc = () => view("zone") === "utc";
  function zone() {
    const at = document.querySelector("#page [data-zone]");
    return at ? at.dataset.zone : "";
  }

  function go(href) {
    const target = new URL(href, window.location.href);
    if (target.href === window.location.href) return;
    navigatedAt = Date.now();
    window.history.pushState({}, "", target.href);
    window.dispatchEvent(new CustomEvent("_dashprivate_pushstate"));
    window.scrollTo(0, 0);
  }

  // ---- the live snapshot ----------------------------------------------------------------------------
  function paused() {
    const query = new URLSearchParams(window.location.search);
    return query.has("paused") || query.has("start");
  }

  function place(data) {
    if (!data) return window.dash_clientside.no_update;
    lastAt = data.at;
    lastArrived = Date.now();
    lastAge = data.age;
    held = data.held || "";
    set("state", { children: data.state });
    const live = data.live && JSON.parse(data.live);
    if (live && !paused() && has("live-figure") && live.look === look()) {
      if (!busy()) {
        set("live-tiles", { children: live.tiles });
        set("live-alerts", { children: live.alerts });
        set("live-legend", { children: live.legend });
        set("live-side", { children: live.side });
      }
      // They are not known before the backends were asked what they are; then they hardly change.
      const limits = one("live-limits");
      if (limits && !limits.hasChildNodes()) set("live-limits", { children: live.limits });
      set("live-figure", { figure: live.figure });
      one("live-figure-label").setAttribute("aria-label", live.finding);
      if (live.readings && has("live-readings-figure")) {
        set("live-readings-figure", { figure: live.readings });
        one("live-readings-figure-label").setAttribute("aria-label", live.readings_finding);
      } else if (live.readings) {
        set("screen", { data: screen() }); // the first readings have arrived
      }
    } else if (live && live.any && !paused() && isLive() && !has("live-figure") && has("page")) {
      set("screen", { data: screen() }); // the first frames have arrived: draw the page
    }
    tick();
    return data.at;
  }

  // A snapshot made before a switch was turned is not for this page any more.
  const look = () => {
    const now = screen();
    asking -= 1;
    return `${now.theme} ${now.minimal} ${zone()}`;
  };

  const isLive = () => [`${BASE}/`, `${BASE}/live`].includes(window.location.pathname);
  // Replacing a part that holds the keyboard's focus would throw the focus away.
  const busy = () => {
    const side = one("live-side");
    return side !== null && side.contains(document.activeElement);
  };

  function clock(unix) {
    const at = new Date(unix * 1000 - (inUtc() ? 0 : new Date(unix * 1000).getTimezoneOffset() * 60000));
    return at.toISOString().slice(11, 19);
  }

  function ago(seconds) {
    if (seconds < 10) return `${Math.max(seconds, 0).toFixed(1)} s`;
    if (seconds < 60) return `${Math.round(seconds)} s`;
    const minutes = Math.floor(seconds / 60);
    return minutes < 60 ? `${minutes} min ${Math.floor(seconds % 60)} s` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
  }

  function write(id, text) {
    const at = one(id);
    if (at && at.textContent !== text) at.textContent = text;
  }

  function tick() {
    const silent = lastArrived === null ? Date.now() - started : Date.now() - lastArrived;
    const now = lastAt === null ? Date.now() / 1000 : lastAt + silent / 1000;
    write("clock", `${clock(now)} ${zone()}`);
    write("age", lastAge === null || lastAge === undefined ? "no data yet" : `newest data ${ago(lastAge + silent / 1000)} old`);
    const cut = silent > LIMIT_MS && (lastArrived !== null || silent > 2 * LIMIT_MS);
    const shell = one("shell");
    if (shell) shell.classList.toggle("fs-cut-off", cut);
    write("lost", !cut ? (has("live-figure") ? held : "") : lastAt === null
      ? `No connection for ${ago(silent / 1000)}.`
      : `Connection lost ${ago(silent / 1000)} ago; values are from ${clock(lastAt)} ${zone()}.`);
    write("loading", navigatedAt !== null && Date.now() - navigatedAt > 300
      ? `Asking the store, ${Math.ceil((Date.now() - navigatedAt) / 1000)} s.` : "");
  }

  // Where nothing is pushed (no SharedWorker, socket dead or silent), ask instead.
  function watch() {
    if (!has("page")) return; // not drawn yet
    tick();
    const silent = lastArrived === null ? Date.now() - started : Date.now() - lastArrived;
    const pushing = PUSHED && typeof window.SharedWorker !== "undefined";
    if (!pushing || silent > LIMIT_MS) set("poll", { data: ++polls });
    if (has("retry") && Date.now() - (window.framescope.retried || 0) > 3000) {
      window.framescope.retried = Date.now();
      set("screen", { data: screen() });
    }
  }

  // ---- theme, width, links, lists -------------------------------------------------------------------
  function switchTheme() {
    const root = document.documentElement;
    root.dataset.bsTheme = root.dataset.bsTheme === "light" ? "dark" : "light";
    try { localStorage.setItem("framescope-theme", root.dataset.bsTheme); } catch (_) { /* refused */ }
    set("screen", { data: screen() });
  }

  PHONE.addEventListener("change", () => set("screen", { data: screen() }));

  async function copyLink() {
    const button = one("copy-link");
    let said = "Copied";
    try { await navigator.clipboard.writeText(window.location.href); } catch (_) { said = "Copy it from the address line"; }
    if (button) {
      button.textContent = said;
      setTimeout(() => { button.textContent = "Copy link"; }, 2000);
    }
  }

  function help(open) {
    const box = one("help");
    if (!box) return;
    box.hidden = !open;
    if (open) one("help-close").focus();
  }

  document.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (button && button.id === "theme-switch") return switchTheme();
    if (button && button.id === "copy-link") return void copyLink();
    if (button && button.id === "help-close") return help(false);
    const link = event.target.closest("a[href]");
    if (!link || event.defaultPrevented || event.button || event.metaKey || event.ctrlKey || event.shiftKey) return;
    if (link.id === "skip") {
      event.preventDefault();
      return one("main").focus();
    }
    if (link.target || link.origin !== window.location.origin || !link.pathname.startsWith(`${BASE}/`)) return;
    if (/^\/(api|docs|metrics|assets)(\/|$)/.test(link.pathname.slice(BASE.length))) return;
    event.preventDefault();
    go(link.id === "go-pause" && !paused() ? pauseHref() : link.href);
  });

  document.addEventListener("change", (event) => {
    if (event.target.matches("select.fs-select")) go(event.target.value);
    if (event.target.matches("select[data-view]")) choose(event.target.dataset.view, event.target.value);
  });

  // The menu of the bar: what is remembered stands in it when it opens; a click elsewhere shuts it.
  document.addEventListener("toggle", (event) => {
    if (event.target.id !== "view" || !event.target.open) return;
    event.target.querySelectorAll("select[data-view]").forEach((select) => {
      select.value = view(select.dataset.view) || select.options[0].value;
    });
  }, true);

  document.addEventListener("click", (event) => {
    const menu = one("view");
    if (menu && menu.open && !menu.contains(event.target)) menu.open = false;
  });

  document.addEventListener("dblclick", (event) => open(event.target.closest(".ag-row")));

  function open(row) {
    const link = row && row.querySelector("a.fs-frame-link");
    if (link) go(link.href);
    return Boolean(link);
  }

  function pauseHref() {
    const target = new URL(window.location.href);
    target.searchParams.set("paused", (lastAt === null ? Date.now() / 1000 : lastAt).toFixed(3));
    return target.href;
  }

  // ---- keyboard -------------------------------------------------------------------------------------
  let afterG = -Infinity; // when it was pressed: a busy page may take the next key long after it was
  function shutView() {
    one("view").open = false;
    one("view").querySelector("summary").focus();
  }

  const click = (id) => {
    const at = one(id);
    if (at && at.matches("a, button")) at.click();
  };

  function rail(index) {
    const link = document.querySelectorAll(".fs-rail-link")[index];
    if (link) link.click();
  }

  function moveRow(by, beside) {
    if (window.framescope.stepRow(by, beside)) return;
    const rows = [...document.querySelectorAll(".ag-center-cols-container .ag-row, .fs-rows li")]
      .sort((a, b) => Number(a.getAttribute("row-index")) - Number(b.getAttribute("row-index")));
    if (!rows.length) return;
    const here = rows.findIndex((row) => row.contains(document.activeElement) || row.classList.contains("ag-row-selected"));
    const next = rows[Math.min(Math.max(here + by, 0), rows.length - 1)];
    const link = next.querySelector("a");
    if (link) {
      link.focus();
      next.scrollIntoView({ block: "nearest" });
    }
  }

  document.addEventListener("keydown", (event) => {
    const at = event.target;
    if (event.metaKey || event.ctrlKey || event.altKey) return;
    if (document.documentElement.dataset.keys === "off" && event.key.length === 1) return;
    if (at.matches && at.matches("input, textarea, select, [contenteditable]")) return;
    const row = at.closest ? at.closest(".ag-row") : null;
    if (event.key === "Enter" && row) {
      if (!at.matches("a") && open(row)) event.preventDefault();
      return;
    }
    if (event.key === " " && (row || (at.matches && at.matches("button, a, summary")))) return; // it has one of its own
    if (event.timeStamp - afterG < 1500) {
      afterG = -Infinity;
      if (event.key === "l") return rail(0);
      if (event.key === "s") return rail(1);
      if (event.key === "c") return rail(2);
    }
    const keys = {
      "?": () => help(one("help") && one("help").hidden),
      g: () => { afterG = event.timeStamp; },
      " ": () => { click(paused() ? "go-live" : "go-pause"); event.preventDefault(); },
      t: switchTheme,
      y: () => void copyLink(),
      "[": () => click("earlier"),
      "]": () => click("later"),
      j: () => moveRow(1),
      k: () => moveRow(-1),
      J: () => moveRow(1, true),
      K: () => moveRow(-1, true),
      Enter: () => { if (!at.matches("a, button, summary") && window.framescope.openPicked()) event.preventDefault(); },
      Escape: () => (one("view") && one("view").open ? shutView()
        : one("help") && !one("help").hidden ? help(false)
        : window.framescope.pickOne() || click("back")),
    };
    if (keys[event.key]) keys[event.key]();
  });

  // ---- points on charts, and ranges dragged on the strip --------------------------------------------
  function frameHref(trace) {
    const query = new URLSearchParams(window.location.search);
    ["cause", "stage", "order", "rows", "signal"].forEach((name) => query.delete(name));
    return `${BASE}/frames/${encodeURIComponent(trace)}${query.size ? `?${query}` : ""}`;
  }

  function openPoint(data) {
    const trace = data && data.points && data.points.map((point) => point.customdata).find((id) => typeof id === "string");
    if (trace) go(frameHref(trace));
    return window.dash_clientside.no_update;
  }

  // A place on a time axis as unix seconds. Plotly writes it as text, in the zone the chart is drawn in; a number
  // is the chart's own datum, which was moved where that zone is not the browser's. A date alone would be read
  // as UTC.
  function unix(x) {
    if (typeof x === "number") {
      const gd = document.querySelector(".fs-chart .js-plotly-plot");
      return (x - ((gd && gd.layout && gd.layout.meta && gd.layout.meta.moved_ms) || 0)) / 1000;
    }
    const text = String(x).replace(" ", "T");
    return Date.parse(`${text}${text.includes("T") ? "" : "T00:00"}${inUtc() ? "Z" : ""}`) / 1000;
  }

  // How long the range of the first chart over time is: a pixel of an hour holds more than one of a minute.
  function shownSeconds() {
    const gd = document.querySelector(".fs-chart .js-plotly-plot");
    const range = gd && gd._fullLayout && gd._fullLayout.xaxis.type === "date" ? gd._fullLayout.xaxis.range : [0, 0];
    return unix(range[1]) - unix(range[0]);
  }

  // A frame that was kept opens; of any other point, the slow frames around its moment.
  function openMoment(data) {
    const points = (data && data.points) || [];
    if (points.some((point) => typeof point.customdata === "string")) return openPoint(data);
    if (points.length) {
      const at = unix(points[0].x);
      const around = Math.max(5, shownSeconds() / 100);
      const target = new URL(`${BASE}/frames`, window.location.href);
      for (const name of ["service", "pipeline"]) {
        const chosen = new URLSearchParams(window.location.search).get(name);
        if (chosen) target.searchParams.set(name, chosen);
      }
      target.searchParams.set("start", (at - around).toFixed(3));
      target.searchParams.set("end", (at + around).toFixed(3));
      go(target.href);
    }
    return window.dash_clientside.no_update;
  }

  function narrowed(layout) {
    const from = layout && layout["xaxis.range[0]"];
    const to = layout && layout["xaxis.range[1]"];
    if (from === undefined || to === undefined) return window.dash_clientside.no_update;
    const target = new URL(window.location.href);
    target.searchParams.set("start", unix(from).toFixed(3));
    target.searchParams.set("end", unix(to).toFixed(3));
    target.searchParams.delete("range");
    target.searchParams.delete("paused");
    if (unix(to) > unix(from)) go(target.href);
    return window.dash_clientside.no_update;
  }

  function arrived() {
    navigatedAt = null;
    const heading = document.querySelector("#page h1");
    const brand = one("shell") ? one("shell").dataset.brand : "framescope";
    document.title = heading ? `${heading.textContent} · ${brand}` : brand;
    tick();
    return window.dash_clientside.no_update;
  }

  window.framescope = { go, screen, place, frameHref, unix, clock, openPoint, openMoment, narrowed, arrived };
  setInterval(watch, 1000);
})();
