// Correlate: a box drawn on a chart selects frames, by time, latency, the signal or a cohort. The address says which.
(function () {
  "use strict";
  const nothing = () => window.dash_clientside.no_update;
  const unix = (x) => window.framescope.unix(x);
  const number = (value) => String(Number(value.toPrecision(6)));

  function meta(id) {
    const drawn = document.querySelector(`#${id} .js-plotly-plot`);
    return (drawn && drawn.layout && drawn.layout.meta) || {};
  }

  function selected(change) {
    const target = new URL(window.location.href);
    change(target.searchParams);
    window.framescope.go(target.href);
  }

  // A box in a lane: its stretch of time, and latency or signal where it leaves some of the lane out.
  function boxedTime(data) {
    const range = data && data.range;
    if (!range || !range.x) return nothing();
    const [from, to] = [Math.min(...range.x.map(unix)), Math.max(...range.x.map(unix))];
    const axis = Object.keys(range).find((name) => name !== "x");
    const lane = meta("correlate-time")[axis];
    if (!(to > from)) return nothing();
    selected((query) => {
      query.set("start", from.toFixed(3));
      query.set("end", to.toFixed(3));
      query.delete("range");
      query.delete("paused");
      if (!lane) return;
      const low = Math.max(Math.min(...range[axis]), lane.low);
      const high = Math.min(Math.max(...range[axis]), lane.high);
      const place = (y) => (lane.log ? Math.log10(y) : y);
      const slack = (place(lane.high) - place(lane.low)) * 0.02;
      if (place(low) <= place(lane.low) + slack && place(high) >= place(lane.high) - slack) return;
      if (lane.signal) query.set("within", `${lane.signal}:${number(low / lane.factor)}:${number(high / lane.factor)}`);
      else query.set("latency_ms", `${low.toFixed(3)}-${high.toFixed(3)}`);
    });
    return nothing();
  }

  // A box over steps of the signal: all from the lowest to the highest of them. Values are chosen one at a time.
  function boxedDoses(data) {
    const range = data && data.range && data.range.x;
    const told = meta("doses");
    if (!range || !told.doses) return nothing();
    const inside = told.doses.filter((_, place) => place >= Math.min(...range) && place <= Math.max(...range));
    if (!inside.length) return nothing();
    selected((query) => {
      if (told.attribute) query.set("cohort", `${told.attribute}=${inside[0]}`);
      else query.set("within", `${told.signal}:${inside[0][0]}:${inside[inside.length - 1][1]}`);
    });
    return nothing();
  }

  function openDose(data) {
    const point = data && data.points && data.points[0];
    if (point) boxedDoses({ range: { x: [point.x, point.x] } });
    return nothing();
  }

  Object.assign(window.framescope, { boxedTime, boxedDoses, openDose });
})();
