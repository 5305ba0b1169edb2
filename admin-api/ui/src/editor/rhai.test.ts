import { EditorState } from "@codemirror/state";
import { syntaxTree } from "@codemirror/language";
import { expect, test } from "vitest";
import { rhaiSupport } from "./rhai";

/** The words of a script with what they are taken for. */
function tokens(doc: string): string[] {
  const state = EditorState.create({ doc, extensions: [rhaiSupport] });
  const found: string[] = [];
  syntaxTree(state).iterate({
    enter: (node) => {
      if (node.from < node.to && node.name !== "Document") found.push(`${node.name} ${doc.slice(node.from, node.to)}`);
    },
  });
  return found;
}

test("macros and tables are words of their own", () => {
  const found = tokens("let a = @BODY.text; #message.find(#{ filter: 1 });");
  expect(found).toContain("keyword let");
  expect(found).toContain("macroName @BODY");
  expect(found).toContain("typeName #message");
  expect(found).toContain("propertyName filter");
});

test("comments nest", () => {
  expect(tokens("/* a /* b */ c */ let")).toEqual(["comment /* a /* b */ c */", "keyword let"]);
});

test("code in a text is code, with braces of its own", () => {
  const found = tokens("let a = `x ${ if b { 1 } else { 2 } } y`; return a;");
  expect(found).toContain("keyword if");
  expect(found).toContain("string  y`");
  expect(found).toContain("keyword return");
});

test("a text may have lines, and its macros are text", () => {
  expect(tokens("`@BODY\n// no comment\n#x`")).toEqual(["string `@BODY", "string // no comment", "string #x`"]);
});

test("what stands after a point is no keyword", () => {
  expect(tokens("a.loop")).toContain("propertyName loop");
});
