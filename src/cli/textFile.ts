/** Small texts that a command line names: experiments, machines, cases, results. */
import { readFileSync } from 'node:fs';
import { blame, readingProblems } from '../base/fileProblems.ts';

/** A whole file. Errors: UserError; if it is not there or no file, with `remedy`. */
export function readText(path: string, remedy: string): string {
  return blame(path, readingProblems(remedy), () => readFileSync(path, 'utf8'));
}
