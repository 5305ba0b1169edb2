/** What the editor knows of scripts: every macro, call, table and column, as the server tells. */
import { snippetCompletion, type Completion, type CompletionContext, type CompletionResult } from "@codemirror/autocomplete";
import { syntaxTree } from "@codemirror/language";
import type { EditorState } from "@codemirror/state";
import { hoverTooltip, type EditorView, type Tooltip } from "@codemirror/view";
import type { Schemas } from "../api/client";
import { KEYWORDS } from "./rhai";

type ScriptCall = Schemas["ScriptCall"];

export interface Table {
  name: string;
  columns: { name: string; type: string }[];
}

/** Asked for at each use, as both may come after the editor is there. */
export interface Knowledge {
  /** Those that a script of this kind can use. */
  calls: () => ScriptCall[];
  tables: () => Table[];
}

const BUILT_IN_COLUMNS = [
  { name: "id", type: "uuid" },
  { name: "createdAt", type: "datetime" },
  { name: "updatedAt", type: "datetime" },
];
const TABLE = "#table";

/** What may be completed there. */
export function complete(knowledge: Knowledge) {
  return (context: CompletionContext): CompletionResult | null => {
    if (isText(context.state, context.pos)) return null;
    const before = context.matchBefore(/(?:[@#]\w*(?:\.\w*)*|\.\w*|[A-Za-z_]\w*)$/);
    if (!before || before.text.startsWith(".")) return context.explicit ? words(context, context.pos, knowledge) : null;
    const dot = before.text.lastIndexOf(".");
    if (dot < 0) {
      if (before.text.startsWith("@")) return { from: before.from, options: macros(knowledge), validFor: /^@\w*$/ };
      if (before.text.startsWith("#")) return { from: before.from, options: tables(knowledge), validFor: /^#\w*$/ };
      return words(context, before.from, knowledge);
    }
    const owner = ownerOf(before.text.slice(0, dot));
    if (!owner) return null;
    const options = knowledge.calls().filter((one) => one.macro === owner && one.call).map(callOption);
    return { from: before.from + dot + 1, options, validFor: /^\w*$/ };
  };
}

/** What calls are listed under: all tables are one. */
function ownerOf(text: string): string | undefined {
  if (text.startsWith("@REPOS.") || text.startsWith("#")) return TABLE;
  return text.startsWith("@") ? text : undefined;
}

function macros(knowledge: Knowledge): Completion[] {
  const own = knowledge.calls().filter((one) => !one.call);
  return own.map((one) => ({ label: nameOf(one.macro), type: "keyword", detail: detail(one), info: () => describe(one) }));
}

function tables(knowledge: Knowledge): Completion[] {
  const named = knowledge.tables().map((table) => ({
    label: `#${table.name}`,
    type: "class",
    detail: `${table.columns.length} columns`,
    info: () => described(`#${table.name}`, table.columns.map(({ name, type }) => `${name}: ${type}`).join("\n")),
  }));
  return [...named, { label: "#secure", type: "class", detail: "within what @USER may do" }];
}

function callOption(one: ScriptCall): Completion {
  const option: Completion = { label: one.call ?? "", type: "method", detail: detail(one), info: () => describe(one) };
  const inner = one.signature.match(/\((.*)\)/)?.[1];
  if (inner === undefined) return option;
  const needed = inner.split(",").map((name) => name.trim()).filter((name) => /^\w+$/.test(name));
  return snippetCompletion(`${one.call}(${needed.map((name) => `\${${name}}`).join(", ")})`, option);
}

/** Names: of this script, of the language, and of the columns of the table whose call one is in. */
function words(context: CompletionContext, from: number, knowledge: Knowledge): CompletionResult {
  const doc = context.state.doc.toString();
  const own = new Set([...doc.matchAll(/\b(?:let|const|for|fn)\s+\(?\s*([A-Za-z_]\w*)/g)].map(([, name]) => name!));
  const table = doc.slice(0, from).match(/[#.](\w+)\.\w+\((?:[^;]*)$/)?.[1];
  const columns = knowledge.tables().find(({ name }) => name === table)?.columns ?? [];
  const options: Completion[] = [
    ...(columns.length ? [...columns, ...BUILT_IN_COLUMNS] : []).map(({ name, type }) => ({ label: name, type: "property", detail: type, boost: 2 })),
    ...[...own].map((label) => ({ label, type: "variable", boost: 1 })),
    ...KEYWORDS.map((label) => ({ label, type: "keyword" })),
  ];
  return { from, options, validFor: /^\w*$/ };
}

function isText(state: EditorState, at: number): boolean {
  return /comment|string/.test(syntaxTree(state).resolveInner(at, -1).name);
}

/** What is under the pointer. */
export function hover(knowledge: Knowledge) {
  return hoverTooltip((view: EditorView, at: number): Tooltip | null => {
    if (isText(view.state, at)) return null;
    const line = view.state.doc.lineAt(at);
    for (const found of line.text.matchAll(/[@#][A-Za-z_]\w*(?:\.\w+)*/g)) {
      const [start, end] = [line.from + found.index, line.from + found.index + found[0].length];
      if (at < start || at > end) continue;
      const dom = about(found[0], at - start, knowledge);
      return dom && { pos: start, end, above: true, create: () => ({ dom }) };
    }
    return null;
  });
}

/** What is known of the part of `@SOCKET.reply` that the pointer is at. */
function about(text: string, offset: number, knowledge: Knowledge): HTMLElement | null {
  const end = text.indexOf(".", offset);
  const part = end < 0 ? text : text.slice(0, end);
  const dot = part.lastIndexOf(".");
  const calls = knowledge.calls();
  if (dot < 0 && part.startsWith("#")) {
    const table = knowledge.tables().find(({ name }) => name === part.slice(1));
    return table ? described(part, table.columns.map(({ name, type }) => `${name}: ${type}`).join("\n")) : null;
  }
  const entry = dot < 0
    ? calls.find((one) => !one.call && nameOf(one.macro) === part)
    : calls.find((one) => one.macro === ownerOf(part.slice(0, dot)) && one.call === part.slice(dot + 1));
  return entry ? describe(entry) : null;
}

function nameOf(macro: string): string {
  return macro.match(/^@\w+/)?.[0] ?? macro;
}

function detail(one: ScriptCall): string {
  const { call, signature } = one;
  return call ? signature.slice(signature.indexOf(call) + call.length) : "";
}

function describe(one: ScriptCall): HTMLElement {
  const parts = [one.doc, one.gives && `Gives ${one.gives}`, one.errors && `Fails: ${one.errors}`];
  return described(one.signature, parts.filter(Boolean).join("\n\n"), one.example);
}

/** Always as text. */
function described(title: string, text: string, example = ""): HTMLElement {
  const box = document.createElement("div");
  box.className = "cm-about";
  for (const [tag, content] of [["strong", title], ["p", text], ["pre", example]] as const) {
    if (!content) continue;
    const part = document.createElement(tag);
    part.textContent = content;
    box.append(part);
  }
  return box;
}
