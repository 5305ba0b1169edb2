/** A request of HTTP as one writes it down: what a form holds, and the same for a shell. */

export interface Draft {
  method: string;
  /** With `{name}` for a parameter. */
  path: string;
  params: Record<string, string>;
  /** As it stands behind `?`. */
  query: string;
  /** One `name: value` a line. */
  headers: string;
  /** JSON; empty: none. */
  body: string;
}

/** The parameters of a path, in their order. */
export function parametersOf(path: string): string[] {
  return [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name!);
}

/** The path that is asked for; a parameter without a value stays as it is written. */
export function filled(path: string, params: Record<string, string>): string {
  return path.replace(/\{(\w+)\}/g, (whole, name: string) => (params[name] ? encodeURIComponent(params[name]) : whole));
}

/** Headers by name in lower case, as servers read them; throws at a line that is none. */
export function headersOf(text: string): Record<string, string> {
  const lines = text.split("\n").map((line) => line.trim()).filter(Boolean);
  return Object.fromEntries(
    lines.map((line) => {
      const [, name, value] = line.match(/^([^\s:]+)\s*:\s*(.*)$/) ?? [];
      if (!name) throw new Error(`${line} is no header: write name: value`);
      return [name.toLowerCase(), value!];
    }),
  );
}

/** The values of a query; of one name the last. */
export function queryOf(text: string): Record<string, string> {
  return Object.fromEntries(new URLSearchParams(text.replace(/^\?/, "")));
}

/** The request as a command. Tokens are left to the shell's environment, so that a copy gives none away. */
export function curl(draft: Draft, server: URL, { asUser, withKey }: { asUser: boolean; withKey: boolean }): string {
  const query = draft.query.replace(/^\?/, "");
  const address = server.href.replace(/\/$/, "") + filled(draft.path, draft.params) + (query ? `?${query}` : "");
  const given = headersOf(draft.headers);
  const parts = [
    `curl${draft.method === "GET" ? "" : ` -X ${draft.method}`} ${quoted(address)}`,
    ...(asUser ? ['-H "authorization: Bearer $TOKEN"'] : []),
    ...(withKey ? ['-H "x-app-token: $APP_KEY"'] : []),
    ...Object.entries(given).map(([name, value]) => `-H ${quoted(`${name}: ${value}`)}`),
  ];
  if (draft.body.trim()) {
    if (!("content-type" in given)) parts.push("-H 'content-type: application/json'");
    parts.push(`-d ${quoted(draft.body.trim())}`);
  }
  return parts.join(" \\\n  ");
}

/** Text that a shell takes as it is. */
function quoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}
