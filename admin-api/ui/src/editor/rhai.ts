/** Rhai with our macros, for colours and indentation: comments nest, and texts in backticks have code in them. */
import { HighlightStyle, LanguageSupport, StreamLanguage, syntaxHighlighting, type StringStream } from "@codemirror/language";
import { tags } from "@lezer/highlight";

export const KEYWORDS = [
  "let", "const", "if", "else", "switch", "do", "while", "until", "loop", "for", "in", "continue", "break", "return", "throw",
  "try", "catch", "fn", "private", "this", "true", "false", "is_def_var", "is_shared", "type_of",
];
const WORDS = new Set(KEYWORDS);
const CONSTANTS = new Set(["true", "false", "this"]);

interface State {
  /** How deep in comments. */
  comment: number;
  /** What is open: a text in backticks, or code in one with so many open braces. */
  open: ("text" | number)[];
  /** Open brackets, for the indentation. */
  depth: number;
  /** Whether a point stands before: what follows is a name of something else. */
  isMember: boolean;
}

function token(stream: StringStream, state: State): string | null {
  if (state.comment) return comment(stream, state);
  if (state.open.at(-1) === "text") return text(stream, state);
  if (stream.eatSpace()) return null;
  if (stream.match("//")) {
    stream.skipToEnd();
    return "comment";
  }
  if (stream.match("/*")) {
    state.comment = 1;
    return comment(stream, state);
  }
  const { isMember } = state;
  state.isMember = false;
  if (stream.match(/^@[A-Za-z_]\w*/)) return "macroName";
  if (stream.match(/^#[A-Za-z_]\w*/)) return "typeName";
  if (stream.match(/^(?:0x[\da-f_]+|0o[0-7_]+|0b[01_]+|\d[\d_]*(?:\.\d[\d_]*)?(?:e[+-]?\d+)?)/i)) return "number";
  if (stream.match(/^"(?:[^"\\]|\\.)*"?/)) return "string";
  if (stream.match(/^'(?:[^'\\]|\\.)+'/)) return "string";
  const word = stream.match(/^[A-Za-z_]\w*/);
  if (word) return nameOf((word as RegExpMatchArray)[0], stream, isMember);
  return sign(stream, state);
}

function nameOf(word: string, stream: StringStream, isMember: boolean): string {
  if (!isMember && WORDS.has(word)) return CONSTANTS.has(word) ? "atom" : "keyword";
  if (stream.match(/^\s*\(/, false)) return isMember ? "propertyName.function" : "variableName.function";
  return isMember || stream.match(/^\s*:(?!:)/, false) ? "propertyName" : "variableName";
}

function sign(stream: StringStream, state: State): string | null {
  const char = stream.next()!;
  if (char === "`") {
    state.open.push("text");
    return "string";
  }
  if (char === ".") {
    state.isMember = !stream.eat(".");
    return "operator";
  }
  const top = state.open.at(-1);
  if ("([{".includes(char)) state.depth++;
  if (")]}".includes(char)) state.depth = Math.max(0, state.depth - 1);
  if (typeof top === "number" && char === "{") state.open[state.open.length - 1] = top + 1;
  if (typeof top === "number" && char === "}") {
    if (top === 0) {
      state.open.pop();
      state.depth++;
      return "special";
    }
    state.open[state.open.length - 1] = top - 1;
  }
  if (char === "#" && stream.peek() === "{") return "bracket";
  return "()[]{}".includes(char) ? "bracket" : /[-+*/%=<>!&|^?]/.test(char) ? "operator" : null;
}

function comment(stream: StringStream, state: State): string {
  while (state.comment && !stream.eol()) {
    if (stream.match("/*")) state.comment++;
    else if (stream.match("*/")) state.comment--;
    else stream.next();
  }
  return "comment";
}

/** A text in backticks, up to its end or the code within. */
function text(stream: StringStream, state: State): string {
  if (stream.match("${")) {
    state.open.push(0);
    return "special";
  }
  while (!stream.eol()) {
    if (stream.match("``")) continue;
    if (stream.match("${", false)) return "string";
    if (stream.next() === "`") {
      state.open.pop();
      return "string";
    }
  }
  return "string";
}

export const rhai = StreamLanguage.define<State>({
  name: "rhai",
  startState: () => ({ comment: 0, open: [], depth: 0, isMember: false }),
  copyState: (state) => ({ ...state, open: [...state.open] }),
  token,
  blankLine: (state) => void (state.isMember = false),
  indent: (state, after, { unit }) => {
    if (state.comment || state.open.at(-1) === "text") return null;
    return Math.max(0, state.depth - (/^\s*[)\]}]/.test(after) ? 1 : 0)) * unit;
  },
  tokenTable: { special: tags.special(tags.brace) },
  languageData: {
    commentTokens: { line: "//", block: { open: "/*", close: "*/" } },
    closeBrackets: { brackets: ["(", "[", "{", '"', "`"] },
    indentOnInput: /^\s*[)\]}]$/,
  },
});

/** The colours are tokens of the page, so that a change of theme needs nothing here. */
const colours = HighlightStyle.define([
  { tag: tags.keyword, color: "var(--code-keyword)" },
  { tag: tags.macroName, color: "var(--code-macro)", fontWeight: "600" },
  { tag: tags.typeName, color: "var(--code-table)", fontWeight: "600" },
  { tag: [tags.string, tags.special(tags.brace)], color: "var(--code-string)" },
  { tag: [tags.number, tags.atom], color: "var(--code-number)" },
  { tag: tags.comment, color: "var(--text-quiet)", fontStyle: "italic" },
  { tag: [tags.function(tags.variableName), tags.function(tags.propertyName)], color: "var(--code-function)" },
]);

export const rhaiSupport = new LanguageSupport(rhai, [syntaxHighlighting(colours)]);
