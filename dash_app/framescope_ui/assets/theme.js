// Runs before anything is painted: the theme chosen here before, else the configured one, else the system's.
(function () {
  const root = document.documentElement;
  if (root.dataset.themeSet) return;
  root.dataset.themeSet = "yes";
  let kept = null;
  try { kept = localStorage.getItem("framescope-theme"); } catch (_) { /* storage may be refused */ }
  const option = root.dataset.themeOption;
  const system = window.matchMedia("(prefers-color-scheme: light)").matches ? "light" : "dark";
  root.dataset.bsTheme = kept || (option && option !== "auto" ? option : system);
})();
