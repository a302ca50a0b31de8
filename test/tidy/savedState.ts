/**
 * saved-whole: every class of src/mm and src/drivers stands in src/state/classes.ts with all its
 * fields, or is listed there as short-lived, so that a saved state lacks nothing.
 */
import ts from 'typescript';
import { type Finding, type Project, type ProjectFile, walk } from './project.ts';

const TABLE = 'src/state/classes.ts';
const FOLDERS: ReadonlySet<string> = new Set(['mm', 'drivers']);

export function checkSavedState(project: Project): Finding[] {
  const table = project.find(TABLE);
  if (table === null || table === undefined) return [];
  const saved = savedFields(table);
  const shortLived = new Set(wordsOfArray(table, 'SHORT_LIVED'));
  const sources = project.files.filter((file) => isSource(file));
  return sources.flatMap((file) => classesOf(file).flatMap((one) => check(file, one)));

  function check(file: ProjectFile, one: ts.ClassDeclaration): Finding[] {
    const name = one.name?.text ?? '';
    if (shortLived.has(name)) return [];
    const fields = saved.get(name);
    if (fields === undefined) {
      const remedy = `add it with all its fields to ${TABLE}, or to SHORT_LIVED there`;
      return [file.findingAt(one, `class ${name} is in no saved state: ${remedy}`)];
    }
    return fieldsOf(one)
      .filter((field) => !fields.has(field.name.getText()))
      .map((field) => {
        const what = `${name}.${field.name.getText()} is in no saved state`;
        const isPrivate = field.name.getText().startsWith('#');
        const privately = isPrivate ? ' and to privateFields of the class' : '';
        return file.findingAt(field, `${what}: add it to ${TABLE}${privately}`);
      });
  }
}

function isSource(file: ProjectFile): boolean {
  return FOLDERS.has(file.folder ?? '') && file.isScript && !file.isTest;
}

function classesOf(file: ProjectFile): ts.ClassDeclaration[] {
  return file.tree.statements.filter((statement) => ts.isClassDeclaration(statement));
}

function fieldsOf(one: ts.ClassDeclaration): ts.PropertyDeclaration[] {
  return one.members.filter(
    (member) =>
      ts.isPropertyDeclaration(member) &&
      !(member.modifiers ?? []).some(({ kind }) => kind === ts.SyntaxKind.StaticKeyword),
  ) as ts.PropertyDeclaration[];
}

/** Class -> saved and wired fields, from the calls of savedClass. */
function savedFields(table: ProjectFile): Map<string, Set<string>> {
  const saved = new Map<string, Set<string>>();
  table.eachNode((node) => {
    if (!ts.isCallExpression(node) || node.expression.getText() !== 'savedClass') return;
    const texts = node.arguments.filter((argument) => ts.isStringLiteralLike(argument));
    const words = texts.flatMap(({ text }) => text.split(/\s+/));
    saved.set(node.arguments[0].getText(), new Set(words));
  });
  return saved;
}

function wordsOfArray(table: ProjectFile, name: string): string[] {
  const words: string[] = [];
  table.eachNode((node) => {
    if (!ts.isVariableDeclaration(node) || node.name.getText() !== name) return;
    walk(node, (part) => {
      if (ts.isStringLiteral(part)) words.push(part.text);
    });
  });
  return words;
}
