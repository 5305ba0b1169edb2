/** Where in the app one is: the part of the address behind `#`, so that the server may stand behind any prefix. */

export type Query = Record<string, string>;

function read() {
  const [path = "", query = ""] = location.hash.replace(/^#/, "").split("?", 2);
  return {
    path: path.split("/").filter(Boolean).map(decoded),
    query: Object.fromEntries(new URLSearchParams(query)) as Query,
  };
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

let here = $state.raw(read());
window.addEventListener("hashchange", () => (here = read()));

export const route = {
  get path() {
    return here.path;
  },
  get query() {
    return here.query;
  },
};

/** The address of a page; empty values are left out. */
export function href(path: string[], query: Record<string, string | undefined> = {}): string {
  const given = Object.entries(query).filter((pair): pair is [string, string] => !!pair[1]);
  const search = given.length ? `?${new URLSearchParams(given)}` : "";
  return `#/${path.map(encodeURIComponent).join("/")}${search}`;
}

export function go(path: string[], query: Record<string, string | undefined> = {}) {
  location.hash = href(path, query);
  // The event comes later; what is asked until then is to know already.
  here = read();
}

/** Goes to a page as if the one before had not been. */
export function replace(path: string[]) {
  history.replaceState(null, "", href(path));
  here = read();
}

/** Changes what stands behind `?`, without a step in the history. */
export function setQuery(change: Record<string, string | undefined>) {
  const { path, query } = read();
  history.replaceState(null, "", href(path, { ...query, ...change }));
  here = read();
}
