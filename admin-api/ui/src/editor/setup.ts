/** An editor of scripts: what all of them share. */
import { autocompletion, closeBrackets, closeBracketsKeymap, completionKeymap } from "@codemirror/autocomplete";
import { defaultKeymap, history, historyKeymap, indentWithTab } from "@codemirror/commands";
import { bracketMatching, indentOnInput, indentUnit } from "@codemirror/language";
import { forceLinting, lintGutter, lintKeymap, linter, type Diagnostic } from "@codemirror/lint";
import { highlightSelectionMatches, searchKeymap } from "@codemirror/search";
import { EditorState, type Extension, type Text } from "@codemirror/state";
import {
  EditorView, drawSelection, highlightActiveLine, highlightActiveLineGutter, highlightSpecialChars, keymap, lineNumbers,
} from "@codemirror/view";
import type { Schemas } from "../api/client";
import { complete, hover, type Knowledge } from "./assist";
import { rhaiSupport } from "./rhai";

/** The server's page carries it for us. */
const nonce = document.querySelector<HTMLMetaElement>("meta[property=csp-nonce]")?.nonce ?? "";

const look = EditorView.theme({
  "&": { backgroundColor: "var(--surface)", color: "var(--text)", height: "100%", fontSize: "13px" },
  "&.cm-focused": { outline: "none" },
  ".cm-scroller": { fontFamily: "var(--mono)", lineHeight: "1.6" },
  ".cm-gutters": { backgroundColor: "var(--surface)", color: "var(--text-quiet)", border: "none" },
  ".cm-activeLine, .cm-activeLineGutter": { backgroundColor: "light-dark(rgb(20 40 90 / 0.045), rgb(255 255 255 / 0.045))" },
  "&.cm-focused > .cm-scroller > .cm-selectionLayer .cm-selectionBackground, .cm-selectionBackground": { backgroundColor: "light-dark(#cfdcfb, #2b3f70)" },
  ".cm-cursor": { borderLeftColor: "var(--text)" },
  ".cm-tooltip": { backgroundColor: "var(--raised)", color: "var(--text)", border: "1px solid var(--line)", borderRadius: "6px", boxShadow: "var(--shadow)", overflow: "hidden" },
  ".cm-tooltip.cm-tooltip-autocomplete > ul > li": { padding: "2px 8px" },
  ".cm-tooltip-autocomplete ul li[aria-selected]": { backgroundColor: "var(--accent-ground)", color: "#fff" },
  ".cm-completionDetail": { fontStyle: "normal", opacity: "0.8" },
  ".cm-about": { maxWidth: "460px", padding: "8px 10px", fontFamily: "var(--sans)" },
  ".cm-about strong": { fontFamily: "var(--mono)", fontSize: "12px" },
  ".cm-about p": { margin: "4px 0 0", whiteSpace: "pre-wrap" },
  ".cm-about pre": { marginTop: "6px", padding: "6px 8px", background: "var(--sunken)", borderRadius: "4px" },
  ".cm-panels": { backgroundColor: "var(--sunken)", color: "var(--text)" },
  ".cm-diagnostic": { fontFamily: "var(--sans)", whiteSpace: "pre-wrap" },
  ".cm-hint": { margin: "4px 0 0" },
  ".cm-hint code": { padding: "1px 4px", background: "var(--sunken)", borderRadius: "4px" },
  ".cm-matchingBracket, &.cm-focused .cm-matchingBracket": { backgroundColor: "light-dark(#d9e4ff, #33466f)" },
  ".cm-specialChar": { color: "var(--bad)" },
});

/** What every view of a script has, whether it can be changed or not. */
export const base: Extension = [
  EditorView.cspNonce.of(nonce),
  look,
  rhaiSupport,
  lineNumbers(),
  highlightSpecialChars(),
  drawSelection(),
  EditorState.tabSize.of(4),
  indentUnit.of("    "),
  EditorView.contentAttributes.of({ "aria-label": "Script", spellcheck: "false", tabindex: "0" }),
];

/** What is wrong, or, of a remark, hardly meant. */
export type ScriptError = Schemas["ScriptError"] & { isRemark?: boolean };

export interface Options {
  knowledge: Knowledge;
  /** Says what is wrong with a script. */
  check: (script: string) => Promise<ScriptError[]>;
  changed: (script: string) => void;
  save: () => void;
  run: () => void;
}

const CHECK_DELAY_MS = 350;

export function editing({ knowledge, check, changed, save, run }: Options): Extension {
  const own = [
    { key: "Mod-s", run: () => (save(), true), preventDefault: true },
    { key: "Mod-Enter", run: () => (run(), true), preventDefault: true },
  ];
  return [
    base,
    keymap.of([...own, ...closeBracketsKeymap, ...defaultKeymap, ...searchKeymap, ...historyKeymap, ...completionKeymap, ...lintKeymap, indentWithTab]),
    history(),
    indentOnInput(),
    bracketMatching(),
    closeBrackets(),
    highlightActiveLine(),
    highlightActiveLineGutter(),
    highlightSelectionMatches(),
    autocompletion({ override: [complete(knowledge)] }),
    hover(knowledge),
    lintGutter(),
    linter(async ({ state }) => diagnostics(state.doc, await check(state.doc.toString())), { delay: CHECK_DELAY_MS }),
    EditorView.updateListener.of((update) => {
      if (update.docChanged) changed(update.state.doc.toString());
    }),
  ];
}

export { forceLinting };

function diagnostics(doc: Text, errors: ScriptError[]): Diagnostic[] {
  return errors.map((error) => {
    const from = position(doc, error.line, error.column);
    const to = Math.max(from, position(doc, error.endLine, error.endColumn));
    return { from, to, severity: error.isRemark ? "warning" : "error", message: error.message, renderMessage: () => told(error) };
  });
}

/** The message, and on a line of its own the hint that it ends with, its code as code. */
function told({ message, hint }: ScriptError): Node {
  const all = document.createElement("div");
  const isApart = hint && message.endsWith(hint);
  all.append(isApart ? message.slice(0, -hint.length).replace(/:\s*$/, "") : message);
  if (!isApart) return all;
  const line = document.createElement("p");
  line.className = "cm-hint";
  line.append("Hint: ");
  hint.split(/(`` .+? ``|`[^`]+`)/).forEach((part, index) => {
    if (index % 2 === 0) return line.append(part);
    const code = document.createElement("code");
    code.textContent = part.startsWith("`` ") ? part.slice(3, -3) : part.slice(1, -1);
    line.append(code);
  });
  all.append(line);
  return all;
}

/** The server counts lines and characters from 1, and an emoji as one. */
export function position(doc: Text, line: number, column: number): number {
  const { from, text } = doc.line(Math.min(Math.max(1, line), doc.lines));
  return from + [...text].slice(0, Math.max(0, column - 1)).join("").length;
}
