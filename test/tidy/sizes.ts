/** small-pieces: a file, a function and a line that fit a screen and a head. */
import ts from 'typescript';
import type { Finding, ProjectFile } from './project.ts';

export const FILE_LINES_MAX = 500;
export const FUNCTION_LINES_MAX = 70;
export const LINE_COLUMNS_MAX = 100;

export function checkFileLength(file: ProjectFile): Finding[] {
  if (!isCode(file)) return [];
  const nr = file.text.endsWith('\n') ? file.lines.length - 1 : file.lines.length;
  if (nr <= FILE_LINES_MAX) return [];
  return [file.finding(nr, `${nr} lines, at most ${FILE_LINES_MAX}: split it by concept`)];
}

/** Addresses cannot be broken; nor is data formatted by hand. */
export function checkLineLength(file: ProjectFile): Finding[] {
  if (!isCode(file)) return [];
  return file.lines.flatMap((line, i) => {
    const columns = [...line].length;
    if (columns <= LINE_COLUMNS_MAX || /https?:\/\//.test(line)) return [];
    return [file.finding(i + 1, `${columns} columns, at most ${LINE_COLUMNS_MAX}: break it`)];
  });
}

export function checkFunctionLength(file: ProjectFile): Finding[] {
  if (!file.isScript) return [];
  const findings: Finding[] = [];
  file.eachNode((node) => {
    if (!ts.isFunctionLike(node) || !('body' in node) || node.body === undefined) return;
    if (isDescribeCallback(node)) return;
    const first = file.lineOf(node.getStart(file.tree));
    const nr = file.lineOf(node.end) - first + 1;
    if (nr <= FUNCTION_LINES_MAX) return;
    const message = `a function of ${nr} lines, at most ${FUNCTION_LINES_MAX}: name its steps`;
    findings.push(file.finding(first, message));
  });
  return findings;
}

/** A group of tests is a list, not a function. */
function isDescribeCallback(node: ts.Node): boolean {
  const call = node.parent;
  return ts.isCallExpression(call) && /^describe\b/.test(call.expression.getText());
}

function isCode(file: ProjectFile): boolean {
  return file.isScript || /\.[ch]$/.test(file.path) || /^(bin|\.ci)\//.test(file.path);
}
