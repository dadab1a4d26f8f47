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

  cells.ShareBar = (props) =>
    h("span",
      { className: "fs-bar", role: "img", "aria-label": props.value.map((part) => part.text).join(", ") || "not split" },
      props.value.map((part, index) =>
        h("span", {
          key: index,
          title: part.text,
          className: `fs-part ${look(part)}`,
          style: { width: `${(100 * part.ms) / props.scale}%` },
        })));
})();
