/** What is kept in this browser: preferences and drafts, nothing else. A browser that keeps nothing is fine too. */

export function keep(key: string, value: unknown) {
  try {
    if (value === undefined) localStorage.removeItem(`gatewright.${key}`);
    else localStorage.setItem(`gatewright.${key}`, JSON.stringify(value));
  } catch {
    // It is full, or forbidden.
  }
}

export function kept<T>(key: string): T | undefined {
  try {
    const text = localStorage.getItem(`gatewright.${key}`);
    return text === null ? undefined : (JSON.parse(text) as T);
  } catch {
    return undefined;
  }
}

export type Theme = "system" | "light" | "dark";

let chosen = $state<Theme>(kept<Theme>("theme") ?? "system");
const dark = matchMedia("(prefers-color-scheme: dark)");
let systemIsDark = $state(dark.matches);
dark.addEventListener("change", () => (systemIsDark = dark.matches));

export const theme = {
  get chosen() {
    return chosen;
  },
  get isDark() {
    return chosen === "dark" || (chosen === "system" && systemIsDark);
  },
  choose(next: Theme) {
    chosen = next;
    keep("theme", next === "system" ? undefined : next);
    apply();
  },
};

export function apply() {
  if (chosen === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = chosen;
}
