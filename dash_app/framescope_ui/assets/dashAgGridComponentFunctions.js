// Cells of the slow-frames table. React escapes every text it is given.
(function () {
  const cells = (window.dashAgGridComponentFunctions = window.dashAgGridComponentFunctions || {});
  const h = (...args) => window.React.createElement(...args);
  const look = (one) => `fs-c-${one.cause} fs-p-${one.pattern}`;

  cells.FrameLink = (props) => h("a", { href: props.data.href, className: "fs-frame-link" }, props.value);

  cells.CauseChip = (props) =>
    h("span", { className: "fs-chip" },
      h("span", { className: `fs-swatch ${look(props.value)}`, "aria-hidden": "true" }),
      h("span", { className: "fs-code" }, props.value.code),
      h("span", { className: "fs-name" }, props.value.title));

  // A bar on the scale of the column; one that is longer fills it, in its own shares, and has a mark at its end.
  cells.ShareBar = (props) => {
    const whole = props.value.reduce((sum, part) => sum + part.ms, 0);
    const beyond = whole > props.scale * 1.001;
    const said = props.value.map((part) => part.text).join(", ") || "not split";
    const parts = props.value.map((part, index) =>
      h("span", {
        key: index,
        title: part.text,
        className: `fs-part ${look(part)}`,
        style: beyond ? { flex: `${part.ms} 1 0` } : { width: `${(100 * part.ms) / props.scale}%` },
      }));
    if (beyond) parts.push(h("span", { key: "beyond", className: "fs-beyond", title: "longer than the scale" }, "»"));
    return h("span",
      { className: "fs-bar", role: "img", "aria-label": beyond ? `${said}: beyond the scale` : said },
      parts);
  };
})();
