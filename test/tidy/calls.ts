/**
 * no-hidden-inputs: time, randomness, locale and the host are arguments. The compiler keeps Node
 * and the DOM out of the pure folders, but lets the clock and the random numbers of the language
 * through. In simulated state the functions that engines may round differently are out as well;
 * + - * / and sqrt are exact everywhere.
 */
import ts from 'typescript';
import { PURE } from './importTable.ts';
import type { Finding, ProjectFile } from './project.ts';

/** Folders whose numbers end up in simulated state. */
const SIMULATED: ReadonlySet<string> = new Set(['mm', 'sim', 'hw', 'heat', 'policy', 'workload']);

const INEXACT: ReadonlySet<string> = new Set(
  (
    'acos acosh asin asinh atan atanh atan2 cbrt cos cosh exp expm1 hypot log log1p log10 log2 ' +
    'pow sin sinh tan tanh'
  ).split(' '),
);

const REMEDY: Readonly<Record<string, string>> = {
  'Date.now': 'take the time as an argument, or a Clock',
  'performance.now': 'take the time as an argument, or a Clock',
  'Math.random': 'open a stream of RandomStreams',
};
const HOST: ReadonlySet<string> = new Set(['console', 'process']);
const LOCAL: ReadonlySet<string> = new Set(['localeCompare', 'toLocaleString']);

export function checkCalls(file: ProjectFile): Finding[] {
  const folder = file.folder;
  if (folder === null || !PURE.has(folder) || !file.isScript || file.isTest) return [];
  const declared = namesDeclared(file);
  const findings: Finding[] = [];
  file.eachNode((node) => {
    const problem = problemOf(node, declared, SIMULATED.has(folder));
    if (problem !== null) findings.push(file.findingAt(node, problem));
  });
  return findings;
}

function problemOf(
  node: ts.Node,
  declared: ReadonlySet<string>,
  isSimulated: boolean,
): string | null {
  if (ts.isNewExpression(node) && node.expression.getText() === 'Date') {
    return `new Date reads the clock: ${REMEDY['Date.now']}`;
  }
  if (ts.isBinaryExpression(node) && isSimulated && isInexactPower(node)) {
    return '** differs between engines: multiply, or use a table';
  }
  if (!ts.isPropertyAccessExpression(node)) return null;
  const name = node.name.text;
  if (LOCAL.has(name)) return `${name} depends on the locale: compare with < or format yourself`;
  if (!ts.isIdentifier(node.expression)) return null;
  const object = node.expression.text;
  const remedy = REMEDY[`${object}.${name}`];
  if (remedy !== undefined) return `${object}.${name} is a hidden input: ${remedy}`;
  // A simulated process may be called process.
  if (HOST.has(object) && !declared.has(object)) {
    return `${object} belongs to the host: return the value, or pass it in`;
  }
  if (isSimulated && object === 'Math' && INEXACT.has(name)) {
    return `Math.${name} differs between engines: use + - * / sqrt, or a table`;
  }
  return null;
}

/** 2 ** 31 is a constant; a power of variables is not. */
function isInexactPower(node: ts.BinaryExpression): boolean {
  const kind = node.operatorToken.kind;
  if (kind === ts.SyntaxKind.AsteriskAsteriskEqualsToken) return true;
  if (kind !== ts.SyntaxKind.AsteriskAsteriskToken) return false;
  return !(isWholeLiteral(node.left) && isWholeLiteral(node.right));
}

function isWholeLiteral(node: ts.Expression): boolean {
  return ts.isNumericLiteral(node) && /^\d+$/.test(node.text);
}

function namesDeclared(file: ProjectFile): Set<string> {
  const names = new Set<string>();
  file.eachNode((node) => {
    const isDeclaring = ts.isVariableDeclaration(node) || ts.isParameter(node);
    if (isDeclaring && ts.isIdentifier(node.name)) names.add(node.name.text);
  });
  return names;
}
