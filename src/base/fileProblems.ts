/** Errors of a file system that a user can do something about, as UserErrors. */
import { UserError } from './assert.ts';

/** By the `code` of the error: what is wrong, and what to do. */
export type FileProblems = ReadonlyMap<string, readonly [problem: string, remedy: string]>;

/** What may be wrong with a file that is to be read as a whole. */
export function readingProblems(remedy: string): FileProblems {
  return new Map([
    ['ENOENT', ['there is no such file', remedy]],
    ['ENOTDIR', ['there is no such file', remedy]],
    ['ENAMETOOLONG', ['there is no such file', remedy]],
    ['EISDIR', ['cannot be read: it is a folder', remedy]],
    ['EACCES', ['may not be read', 'check the permissions of the file and its folder']],
    ['EPERM', ['may not be read', 'check the permissions of the file and its folder']],
    ['ELOOP', ['cannot be read: its link leads to itself', remedy]],
    ['EIO', ['the disk reports an input/output error', 'copy the file from elsewhere']],
    ['EMFILE', ['too many open files', 'raise ulimit -n']],
  ]);
}

/** Does `work` with a file; what is not in `problems` is thrown as it is. */
export function blame<T>(path: string, problems: FileProblems, work: () => T): T {
  try {
    return work();
  } catch (error) {
    const problem = problems.get(codeOf(error));
    if (problem === undefined) throw error;
    throw new UserError(path, problem[0], problem[1]);
  }
}

/** "ENOENT" and the like; '' = the error has no code. */
export function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : '';
}
