/**
 * one-writer: typed columns of a table are written in the folder that owns the table. Others read
 * them, or call the owner's methods.
 */
import ts from 'typescript';
import type { Finding, Project, ProjectFile } from './project.ts';

const COLUMN_TYPE = /^(Uint8|Uint16|Uint32|Int8|Int16|Int32|Float32|Float64)Array\b/;
const WRITING_METHODS: ReadonlySet<string> = new Set(['fill', 'set', 'copyWithin']);

export function checkColumnWrites(project: Project): Finding[] {
  const sources = project.files.filter((file) => isSource(file));
  const owners = columnOwners(sources);
  return sources.flatMap((file) => {
    const findings: Finding[] = [];
    file.eachNode((node) => {
      const column = columnWrittenBy(node);
      const folders = column === null ? undefined : owners.get(column);
      if (folders === undefined || folders.has(file.folder ?? '')) return;
      const where = [...folders].join('/ or ');
      findings.push(
        file.findingAt(node, `writes column ${column} of ${where}/: call a method of its owner`),
      );
    });
    return findings;
  });
}

function isSource(file: ProjectFile): boolean {
  return file.folder !== null && file.isScript && !file.isTest;
}

/** Column -> the folders with a class that has a public readonly column of this name. */
function columnOwners(sources: readonly ProjectFile[]): Map<string, Set<string>> {
  const owners = new Map<string, Set<string>>();
  for (const file of sources) {
    file.eachNode((node) => {
      if (!ts.isPropertyDeclaration(node) || !ts.isIdentifier(node.name)) return;
      if (!COLUMN_TYPE.test(node.type?.getText() ?? '')) return;
      const folders = owners.get(node.name.text) ?? new Set();
      owners.set(node.name.text, folders.add(file.folder ?? ''));
    });
  }
  return owners;
}

/** `flags` of `frames.flags[i] = x`, `frames.flags[i]++` and `frames.flags.fill(0)`. */
function columnWrittenBy(node: ts.Node): string | null {
  if (ts.isBinaryExpression(node) && isAssignment(node.operatorToken.kind)) {
    return columnIndexedBy(node.left);
  }
  if (ts.isPrefixUnaryExpression(node) || ts.isPostfixUnaryExpression(node)) {
    const kind = node.operator;
    const isStep = kind === ts.SyntaxKind.PlusPlusToken || kind === ts.SyntaxKind.MinusMinusToken;
    return isStep ? columnIndexedBy(node.operand) : null;
  }
  if (!ts.isCallExpression(node) || !ts.isPropertyAccessExpression(node.expression)) return null;
  const { name, expression } = node.expression;
  return WRITING_METHODS.has(name.text) ? memberName(expression) : null;
}

function columnIndexedBy(node: ts.Expression): string | null {
  return ts.isElementAccessExpression(node) ? memberName(node.expression) : null;
}

/** The name of a member of another object; `this.flags` is the owner itself. */
function memberName(node: ts.Expression): string | null {
  if (!ts.isPropertyAccessExpression(node) || !ts.isIdentifier(node.name)) return null;
  return node.expression.kind === ts.SyntaxKind.ThisKeyword ? null : node.name.text;
}

function isAssignment(kind: ts.SyntaxKind): boolean {
  return kind >= ts.SyntaxKind.FirstAssignment && kind <= ts.SyntaxKind.LastAssignment;
}
