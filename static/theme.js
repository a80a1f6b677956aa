// Runs before the first paint: the chosen theme and the folded navigation, so that nothing flashes.
(function () {
  "use strict";
  const root = document.documentElement;
  try {
    const theme = localStorage.getItem("theme");
    if (theme === "light" || theme === "dark") root.dataset.theme = theme;
    if (localStorage.getItem("nav") === "folded") root.dataset.nav = "folded";
  } catch {
    // Storage may be forbidden; then the system's theme holds.
  }
  root.classList.add("js");
})();
