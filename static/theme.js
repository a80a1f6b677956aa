// Runs before the first paint: the chosen theme and the folded navigation, so that nothing flashes.
(function () {
  "use strict";
  const root = document.documentElement;
  try {
    // Signed in, the account's choice holds (the page came with it) and is kept for the pages before the next sign-in.
    const account = root.dataset.accountTheme;
    if (account) localStorage.setItem("theme", account);
    const theme = account || localStorage.getItem("theme");
    if (theme === "light" || theme === "dark") root.dataset.theme = theme;
    if (localStorage.getItem("nav") === "folded") root.dataset.nav = "folded";
  } catch {
    // Storage may be forbidden; then the system's theme holds.
  }
  root.classList.add("js");
})();
