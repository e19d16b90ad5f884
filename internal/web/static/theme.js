// Sets the colour theme before the first paint. A classic script on purpose: modules run too late.
(() => {
  const KEY = "ollama-rag.theme";
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const root = document.documentElement;

  const stored = () => {
    try {
      return localStorage.getItem(KEY);
    } catch {
      return null;
    }
  };
  const apply = () => {
    root.dataset.theme = stored() || (dark.matches ? "dark" : "light");
  };

  apply();
  dark.addEventListener("change", apply);
  document.addEventListener("click", (event) => {
    if (!event.target.closest?.("[data-toggle-theme]")) return;
    const next = root.dataset.theme === "dark" ? "light" : "dark";
    try {
      localStorage.setItem(KEY, next);
    } catch {
      // Storage is off: the choice lasts until the page is closed.
    }
    root.dataset.theme = next;
  });
})();
