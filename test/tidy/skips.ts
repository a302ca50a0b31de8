/**
 * say-what-is-skipped: no test is left out silently. `.only` never; a skipped test carries its
 * reason in its name (`… (needs gcc)`, `… (skipped: …)`) or in `context.skip('reason')`.
 */
import ts from 'typescript';
import type { Finding, ProjectFile } from './project.ts';

const TESTS: ReadonlySet<string> = new Set(['it', 'test', 'describe', 'suite']);
const REASON = /\((needs|skipped:) [^)]+\)/;

export function checkSkips(file: ProjectFile): Finding[] {
  if (!file.isTest || !file.isScript) return [];
  const findings: Finding[] = [];
  file.eachNode((node) => {
    if (!ts.isPropertyAccessExpression(node)) return;
    const problem = problemOf(node);
    if (problem !== null) findings.push(file.findingAt(node, problem));
  });
  return findings;
}

function problemOf(node: ts.PropertyAccessExpression): string | null {
  const modifier = node.name.text;
  if (!TESTS.has(rootOf(node.expression))) {
    if (modifier !== 'skip' || !ts.isCallExpression(node.parent)) return null;
    if (!/^(context|ctx|task)$/.test(node.expression.getText())) return null;
    return node.parent.arguments.length > 0 ? null : 'skip() without a reason: give it as argument';
  }
  if (modifier === 'only') return '.only leaves all other tests out: remove it';
  if (modifier === 'todo') return '.todo is no test: write it, or open an issue';
  if (!['skip', 'skipIf', 'runIf'].includes(modifier)) return null;
  const title = titleOf(node);
  if (title !== null && REASON.test(title)) return null;
  return `.${modifier} without a reason in the name: end it with (needs …) or (skipped: …)`;
}

function rootOf(node: ts.Expression): string {
  let at = node;
  while (ts.isPropertyAccessExpression(at) || ts.isCallExpression(at)) at = at.expression;
  return ts.isIdentifier(at) ? at.text : '';
}

/** The first string among the arguments of the calls around: it.skipIf(x)('title', …). */
function titleOf(node: ts.Node): string | null {
  for (let at = node.parent; ts.isCallExpression(at) || ts.isPropertyAccessExpression(at); ) {
    const first = ts.isCallExpression(at) ? at.arguments[0] : undefined;
    if (first !== undefined && ts.isStringLiteralLike(first)) return first.text;
    if (first !== undefined && ts.isTemplateExpression(first)) return first.getText();
    at = at.parent as typeof at;
  }
  return null;
}
