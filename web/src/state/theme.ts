import { createStore } from "./store";

export type Theme = "dark" | "light";

const NAME = "limpid-theme";
const prefersLight = window.matchMedia("(prefers-color-scheme: light)");

function initialTheme(): Theme {
  const chosen = localStorage.getItem(NAME);
  if (chosen === "dark" || chosen === "light") return chosen;
  return prefersLight.matches ? "light" : "dark";
}

export const theme = createStore<Theme>(initialTheme());

function apply(): void {
  document.documentElement.dataset["theme"] = theme.get();
}

/** Shows the theme that the person chose, or else their system's. */
export function installTheme(): void {
  apply();
  theme.subscribe(apply);
  prefersLight.addEventListener("change", () => {
    if (localStorage.getItem(NAME) === null) theme.set(initialTheme());
  });
}

export function chooseTheme(chosen: Theme): void {
  localStorage.setItem(NAME, chosen);
  theme.set(chosen);
}
