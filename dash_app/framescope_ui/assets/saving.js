// What any chart can give away: a picture of it, its drawn series as CSV or JSON, and a table of them. All of
// it is made here of what is drawn, so that it also works while the page is paused or its store is away.
(function () {
  "use strict";
  const MOST_ROWS = 120; // of a table; the files hold everything
  const HEAD_PX = 26; // above a saved picture, for what it shows

  const graph = (figure) => figure.querySelector(".js-plotly-plot");
  const plain = (text) => String(text ?? "")
    .replace(/<br\s*\/?>/g, " ").replace(/<\/?(b|i|span|sub|sup)[^>]*>/g, "")
    .replace(/&lt;/g, "<").replace(/&gt;/g, ">").replace(/&amp;/g, "&");

  // ---- the drawn series -----------------------------------------------------------------------------
  const dated = (gd) => gd._fullLayout.xaxis && gd._fullLayout.xaxis.type === "date";

  // The data of a chart in another zone than the browser's own are moved by that much, ms.
  const moved = (gd) => (gd.layout.meta && gd.layout.meta.moved_ms) || 0;

  const unixMs = (x, gd) => (typeof x === "number" ? x - moved(gd) : window.framescope.unix(x) * 1000);

  function known(value) {
    if (value === null || value === undefined || (typeof value === "number" && !Number.isFinite(value))) return null;
    return value;
  }

  function exact(values, index) {
    const value = known(values && values[index]);
    return value !== null && values instanceof Float32Array ? Number(value.toPrecision(7)) : value;
  }

  // A row a drawn point: lane, series, x (as RFC 3339 on a time axis), y, and what else the point has.
  function drawn(gd) {
    const rows = [];
    const time = dated(gd);
    const at = (x) => (time && x !== null ? new Date(unixMs(x, gd)).toISOString() : x);
    const lanes = (gd.layout.meta && gd.layout.meta.lanes) || {};
    const spread = (error, index) => {
      if (!error || !error.visible) return [null, null];
      const above = exact(error.array, index);
      return [exact(error.arrayminus, index) ?? above, above];
    };
    for (const trace of gd._fullData) {
      if (trace.visible !== true) continue;
      const common = { lane: plain(lanes[trace.yaxis]), series: plain(trace.name) };
      if (trace.type === "heatmap") {
        for (let row = 0; row < trace.y.length; row += 1) {
          for (let column = 0; column < trace.x.length; column += 1) {
            const z = exact(trace.z[row], column);
            if (z !== null) rows.push({ ...common, x: at(known(trace.x[column])), y: known(trace.y[row]), value: z });
          }
        }
        continue;
      }
      const length = Math.max(trace.x ? trace.x.length : 0, trace.y ? trace.y.length : 0);
      for (let index = 0; index < length; index += 1) {
        const x = exact(trace.x, index);
        const y = exact(trace.y, index);
        const row = { ...common, x: at(x), y };
        if (x === null || y === null) continue; // a gap
        if (trace.type === "bar" && trace.orientation === "h") {
          const base = Array.isArray(trace.base) || ArrayBuffer.isView(trace.base) ? exact(trace.base, index) : known(trace.base);
          row.x = base ?? 0;
          row.until = row.x + x;
        }
        const [below, above] = spread(trace.error_y, index);
        if (above !== null) Object.assign(row, { low: y - below, high: y + above });
        const more = trace.customdata && trace.customdata[index];
        if (typeof more === "string") row.frame = more;
        const note = Array.isArray(trace.hovertext) ? trace.hovertext[index] : null;
        if (note) row.note = plain(note);
        rows.push(row);
      }
    }
    return rows;
  }

  // ---- what it is of --------------------------------------------------------------------------------
  function shown(figure) {
    const of = document.querySelector("#page [data-pipeline]");
    const charts = [figure, ...document.querySelectorAll(".fs-chart")].map(graph);
    const timed = charts.find((gd) => gd && gd._fullLayout && dated(gd));
    const frame = /\/frames\/([^/]+)/.exec(window.location.pathname);
    const range = timed && !frame
      ? timed._fullLayout.xaxis.range.map((x) => new Date(unixMs(x, timed)).toISOString()) : [null, null];
    return {
      chart: figure.dataset.chart,
      finding: (figure.querySelector("[role=img]") || figure).getAttribute("aria-label"),
      service: of ? of.dataset.service : null,
      pipeline: of ? of.dataset.pipeline : null,
      frame: frame ? decodeURIComponent(frame[1]) : null,
      start: range[0],
      end: range[1],
    };
  }

  // pipeline-chart-start-end, so that two files of different ranges or pipelines never share a name.
  function fileName(what, ending) {
    const compact = (iso) => iso && iso.replace(/[-:]/g, "").replace(/\.\d+/, "");
    const parts = [what.pipeline, what.frame && `frame-${what.frame}`, what.chart, compact(what.start), compact(what.end)];
    return `${parts.filter(Boolean).map((part) => part.replace(/[^A-Za-z0-9._-]+/g, "_").slice(0, 60)).join("-")}.${ending}`;
  }

  // ---- files ----------------------------------------------------------------------------------------
  const COLUMNS = ["lane", "series", "x", "until", "y", "value", "low", "high", "frame", "note"];

  function table(gd) {
    const rows = drawn(gd);
    const used = COLUMNS.filter((name) => rows.some((row) => row[name] !== undefined && row[name] !== ""));
    const head = used.map((name) => (name === "x" && dated(gd) ? "time" : name));
    return { rows, used, head };
  }

  function cell(value) {
    if (value === null || value === undefined) return "";
    if (typeof value === "number") return String(value);
    // A spreadsheet would run a name that begins like a formula.
    const text = /^[=+\-@\t\r]/.test(value) ? `'${value}` : value;
    return /[",\n\r]/.test(text) ? `"${text.replace(/"/g, '""')}"` : text;
  }

  function csv(gd) {
    const { rows, used, head } = table(gd);
    return `${[head, ...rows.map((row) => used.map((name) => row[name]))].map((line) => line.map(cell).join(",")).join("\r\n")}\r\n`;
  }

  function json(figure, gd) {
    const { rows, used, head } = table(gd);
    const data = rows.map((row) => Object.fromEntries(used.map((name, index) => [head[index], row[name] ?? null])));
    return `${JSON.stringify({ ...shown(figure), made: new Date().toISOString(), data }, null, 1)}\n`;
  }

  function give(name, href) {
    const link = document.createElement("a");
    link.href = href;
    link.download = name;
    link.click();
  }

  function file(name, type, text) {
    const href = URL.createObjectURL(new Blob([text], { type }));
    give(name, href);
    setTimeout(() => URL.revokeObjectURL(href), 10000);
  }

  // Of the chart's own grounds and with a line that says what it shows: on its own a picture tells neither.
  async function picture(figure, gd, format) {
    const what = shown(figure);
    const card = getComputedStyle(document.documentElement);
    const range = what.start && `${what.start.slice(0, 19)}Z to ${what.end.slice(0, 19)}Z`;
    const words = [what.service, what.pipeline, what.frame && `frame ${what.frame}`, what.chart, range].filter(Boolean);
    const { width, height, margin } = gd._fullLayout;
    const layout = {
      ...gd.layout,
      width,
      height: height + HEAD_PX,
      margin: { ...gd.layout.margin, t: margin.t + HEAD_PX },
      paper_bgcolor: card.getPropertyValue("--fs-surface").trim(),
      title: {
        text: words.join(" · ").replace(/&/g, "&amp;").replace(/</g, "&lt;"),
        x: 0, xref: "container", xanchor: "left", y: 1, yref: "container", yanchor: "top",
        pad: { l: 6, t: 8 }, font: { size: 12, color: card.getPropertyValue("--fs-ink-2").trim() },
      },
    };
    const options = { format, width, height: layout.height, scale: format === "png" ? 2 : 1 };
    give(fileName(what, format), await window.Plotly.toImage({ data: gd.data, layout, config: {} }, options));
  }

  document.addEventListener("click", (event) => {
    const button = event.target.closest("button[data-save]");
    const figure = button && button.closest(".fs-chart");
    const gd = figure && graph(figure);
    if (!gd || !gd._fullData) return;
    const format = button.dataset.save;
    if (format === "csv") file(fileName(shown(figure), format), "text/csv;charset=utf-8", csv(gd));
    else if (format === "json") file(fileName(shown(figure), format), "application/json", json(figure, gd));
    else void picture(figure, gd, format);
  });

  // ---- the table behind a chart ---------------------------------------------------------------------
  // Plain elements: some thousand of Dash's own take a browser many seconds.
  function element(tag, attributes, ...children) {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    made.append(...children);
    return made;
  }

  // A row a moment (or a place on the x axis), a column a series; the newest first on a time axis.
  function asTable(gd) {
    const { rows, head, used } = table(gd);
    const columns = [];
    const lines = new Map();
    for (const row of rows) {
      const name = [row.lane, row.series || row.y].filter((part) => part !== "" && part !== undefined).join(": ");
      if (!columns.includes(name)) columns.push(name);
      if (!lines.has(row.x)) lines.set(row.x, {});
      lines.get(row.x)[name] = row;
    }
    const order = [...lines.keys()];
    if (dated(gd)) order.sort().reverse();
    const moment = (x) => (dated(gd) ? `${window.framescope.clock(Date.parse(x) / 1000)}${x.slice(19, 23)}` : String(x));
    const zone = (gd.layout.meta && gd.layout.meta.zone) || "UTC";
    const number = (row) => {
      const value = row.value ?? row.y;
      return typeof value === "number" ? String(Number(value.toPrecision(4))) : String(value);
    };
    const body = order.slice(0, MOST_ROWS).map((x) => element("tr", {},
      element("th", { scope: "row" }, moment(x)),
      ...columns.map((name) => {
        const row = lines.get(x)[name];
        if (!row) return element("td", { class: "fs-right" }, "");
        return element("td", { class: "fs-right" },
          row.frame ? element("a", { href: window.framescope.frameHref(row.frame) }, number(row)) : number(row));
      })));
    const said = order.length > MOST_ROWS
      ? `The ${dated(gd) ? "newest" : "first"} ${MOST_ROWS} of ${order.length} rows; CSV and JSON hold them all.` : "";
    return [
      element("p", { class: "fs-dim" }, said || `${order.length} rows.`),
      element("div", { class: "fs-table-frame", tabindex: 0, role: "region", "aria-label": `${gd.closest(".fs-chart").dataset.chart} as a table` },
        element("table", { class: "fs-table" },
          element("thead", {}, element("tr", {},
            element("th", { scope: "col" }, dated(gd) ? `Time, ${zone}` : head[used.indexOf("x")] || ""),
            ...columns.map((name) => element("th", { scope: "col", class: "fs-right" }, name)))),
          element("tbody", {}, ...(body.length ? body : [element("tr", {}, element("td", {}, "Nothing is drawn."))])))),
    ];
  }

  document.addEventListener("toggle", (event) => {
    const details = event.target;
    const place = details.open && details.querySelector ? details.querySelector(".fs-drawn") : null;
    const figure = place && details.closest(".fs-chart");
    const gd = figure && graph(figure);
    if (gd && gd._fullData) place.replaceChildren(...asTable(gd));
  }, true);
})();
