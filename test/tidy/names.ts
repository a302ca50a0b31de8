/**
 * say-what-it-is: names that fit anything say nothing. Checked where a name is given: files,
 * functions, classes, types, methods, properties, variables.
 */
import ts from 'typescript';
import type { Finding, ProjectFile } from './project.ts';

/** Wherever they stand in a name. */
const BANNED_WORDS: ReadonlySet<string> = new Set([
  'manager',
  'helper',
  'helpers',
  'util',
  'utils',
]);
/** At the end of a longer name. */
const BANNED_ENDS: ReadonlySet<string> = new Set(['data', 'info']);

export function checkNames(file: ProjectFile): Finding[] {
  if (!file.isScript) return [];
  const stem = file.name.replace(/(\.test|\.fuzz|\.d)?\.(ts|mjs)$/, '');
  const problem = problemOf(stem);
  const findings = problem === null ? [] : [file.finding(1, `file ${problem}`)];
  if (problem === null && !/^[a-z][A-Za-z0-9]*(\.[a-z]+)*$/.test(stem)) {
    findings.push(file.finding(1, `file name ${stem} is not camelCase: rename it`));
  }
  file.eachNode((node) => {
    const name = nameGivenBy(node);
    if (name === null) return;
    const given = problemOf(name);
    if (given !== null) findings.push(file.findingAt(node, given));
    else if (ts.isInterfaceDeclaration(node) && /^I[A-Z][a-z]/.test(name)) {
      findings.push(file.findingAt(node, `${name}: no I before the name of an interface`));
    }
  });
  return findings;
}

function nameGivenBy(node: ts.Node): string | null {
  const isGiving =
    ts.isClassDeclaration(node) ||
    ts.isInterfaceDeclaration(node) ||
    ts.isTypeAliasDeclaration(node) ||
    ts.isFunctionDeclaration(node) ||
    ts.isMethodDeclaration(node) ||
    ts.isPropertyDeclaration(node) ||
    ts.isVariableDeclaration(node) ||
    ts.isParameter(node);
  if (!isGiving || node.name === undefined) return null;
  return ts.isIdentifier(node.name) || ts.isPrivateIdentifier(node.name) ? node.name.text : null;
}

function problemOf(name: string): string | null {
  const words = wordsOf(name);
  const banned = words.find((word) => BANNED_WORDS.has(word));
  if (banned !== undefined) return `${name}: "${banned}" says nothing; name what it is or does`;
  const last = words[words.length - 1];
  // Constants are often spelled by Linux or by a format.
  const isConstant = name === name.toUpperCase();
  if (words.length > 1 && !isConstant && BANNED_ENDS.has(last)) {
    return `${name}: "${last}" says nothing; name what it holds`;
  }
  if (/[a-z]V\d+$/.test(name)) return `${name}: no version in a name; replace the old one`;
  return null;
}

/** nrPagesMax -> nr pages max; PG_ACTIVE -> pg active. */
export function wordsOf(name: string): string[] {
  return name
    .replace(/([a-z0-9])([A-Z])/g, '$1 $2')
    .replace(/([A-Z])([A-Z][a-z])/g, '$1 $2')
    .toLowerCase()
    .split(/[^a-z0-9]+/)
    .filter((word) => word !== '');
}
