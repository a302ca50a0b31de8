import { describe, expect, it } from 'vitest';
import { blame, readingProblems } from './fileProblems.ts';

function failing(code: string): () => never {
  return () => {
    throw Object.assign(new Error(`${code}: as Node says it`), { code });
  };
}

describe('blame', () => {
  const problems = readingProblems('hetmem x --list names them');

  it.each([
    ['ENOENT', 'a.yaml: there is no such file (hetmem x --list names them)'],
    ['EISDIR', 'a.yaml: cannot be read: it is a folder (hetmem x --list names them)'],
    ['EACCES', 'a.yaml: may not be read (check the permissions of the file and its folder)'],
  ])('says %s in words', (code, message) => {
    expect(() => blame('a.yaml', problems, failing(code))).toThrow(message);
  });

  it('leaves other errors alone', () => {
    expect(() => blame('a.yaml', problems, failing('EBADF'))).toThrow('EBADF: as Node says it');
    expect(() => blame('a.yaml', problems, () => JSON.parse('{'))).toThrow(SyntaxError);
    expect(blame('a.yaml', problems, () => 1)).toBe(1);
  });
});
