/** explain-at-the-top, finish-it, no-dead-code: what comments must say, and what they must not. */
import ts from 'typescript';
import type { Finding, ProjectFile } from './project.ts';

export const HEADER_LINES_MAX = 20;

/** Joined, so that the rule does not find itself. */
const UNFINISHED = new RegExp(`\\b(${['TO' + 'DO', 'FIX' + 'ME', 'X' + 'XX'].join('|')})\\b`);
const UNDONE = new RegExp(`\\b${['not', 'implemented'].join(' ')}\\b`, 'i');

/** A source opens with what it is: 1 to 20 lines of comment. */
export function checkHeader(file: ProjectFile): Finding[] {
  const isSource =
    (file.isScript || /\.[ch]$/.test(file.path)) && !/\.(test|slow|fuzz)\.ts$/.test(file.path);
  if (!isSource) return [];
  const header = headerOf(file.text);
  if (header === null) return [file.finding(1, 'no comment at the top: say what this is')];
  const nr = header.split('\n').length;
  if (nr <= HEADER_LINES_MAX) return [];
  const remedy = 'keep what a reader needs first, move the rest to where it applies';
  return [file.finding(1, `a header of ${nr} lines, at most ${HEADER_LINES_MAX}: ${remedy}`)];
}

function headerOf(text: string): string | null {
  const body = text.replace(/^#!.*\n/, '');
  const block = /^\s*\/\*[\s\S]*?\*\//.exec(body);
  if (block !== null) return block[0];
  const lines = /^(\s*\/\/[^\n]*\n)+/.exec(body);
  return lines === null ? null : lines[0].trimEnd();
}

/** What is missing is an issue or a `Not modelled:`, not a note in the code. */
export function checkUnfinished(file: ProjectFile): Finding[] {
  if (!file.isScript && !/\.[ch]$/.test(file.path)) return [];
  return file.lines.flatMap((line, i) => {
    const found = UNFINISHED.exec(line) ?? UNDONE.exec(line);
    if (found === null) return [];
    const remedy = 'finish it, or say what is missing in a "Not modelled:" comment';
    return [file.finding(i + 1, `"${found[0]}": ${remedy}`)];
  });
}

/** Code that was commented out: version control remembers it. */
export function checkDeadCode(file: ProjectFile): Finding[] {
  if (!file.isScript) return [];
  const findings: Finding[] = [];
  let block: string[] = [];
  file.lines.forEach((line, i) => {
    const comment = /^\s*\/\/ ?(.*)$/.exec(line)?.[1];
    if (comment !== undefined) {
      block.push(comment);
      return;
    }
    if (block.some((_, at) => isCode(block.slice(at)) || isCode([block[at]]))) {
      findings.push(file.finding(i + 1 - block.length, 'code in a comment: delete it'));
    }
    block = [];
  });
  return findings;
}

/** Prose hardly ever parses as statements that also end or begin as statements do. */
function isCode(lines: readonly string[]): boolean {
  const text = lines.join('\n').trim();
  const looksLikeCode =
    /[;}]$/.test(text) ||
    /^(const|let|return|if|for|while|import|export|await|this\.)\b/.test(text);
  if (!looksLikeCode || !/[=(;{]/.test(text)) return false;
  const { diagnostics } = ts.transpileModule(text, { reportDiagnostics: true });
  return (diagnostics ?? []).length === 0;
}
