/** Misspelt cases are wrong input with a place: never skipped, never passed. */
import { describe, expect, it } from 'vitest';
import { type ConformanceCase, type Json, parseCases } from './caseFile.ts';
import { LOOK_FORMS, VERB_FORMS } from './caseFormat.ts';
import { LOOKS, VERBS } from './verbs/registry.ts';

type Raw = { [field: string]: Json };

const MMAP: Raw = {
  do: 'mmap',
  region: 'A',
  pages: 4,
  prot: ['READ', 'WRITE'],
  flags: ['PRIVATE', 'ANONYMOUS'],
  at: '0x700000000000',
};

function parse(steps: Raw[], more: Raw = {}): ConformanceCase[] {
  const raw = { id: 'x', group: 'g', machine: 'm', strength: 'exact', steps, expect: {}, ...more };
  return parseCases(JSON.stringify(raw), 'mine.jsonl');
}

describe('a case that is not in the format', () => {
  it.each<[string, Raw, string]>([
    ['verb', { do: 'tuch' }, 'unknown verb tuch (did you mean touch?)'],
    ['look', { look: 'wher' }, 'unknown look wher (did you mean where?)'],
    ['look as verb', { do: 'where' }, 'unknown verb where (write "look": "where")'],
    [
      'input',
      { do: 'munmap', region: 'A', fron: 0, n: 4 },
      'munmap: unknown field fron (did you mean from?)',
    ],
    [
      'missing input',
      { do: 'mprotect', region: 'A', from: 0, n: 4 },
      'mprotect: prot is missing (wanted a list of NONE, READ, WRITE, EXEC or hexadecimal texts)',
    ],
    [
      'flag',
      { ...MMAP, flags: ['PRIVATE', 'ANONYMUS'] },
      'mmap: flags is ["PRIVATE","ANONYMUS"] (did you mean ANONYMOUS?)',
    ],
    [
      'advice',
      { do: 'madvise', region: 'A', from: 0, n: 1, advice: 'HWPOISONED' },
      'madvise: advice is "HWPOISONED" (did you mean HWPOISON?)',
    ],
    ['kind of value', { do: 'sleep', ms: '100' }, 'sleep: ms is "100" (wanted a whole number)'],
    [
      'output',
      { do: 'munmap', region: 'A', from: 0, n: 4, expect: { rett: 0 } },
      'munmap: unknown field rett in expect (did you mean ret?)',
    ],
    [
      'approx',
      { look: 'count', region: 'A', expect: { pages: {} }, approx: ['page'] },
      'approx names page, which is not in expect (did you mean pages?)',
    ],
  ])('names the wrong %s with its place', (_what, step, problem) => {
    expect(() => parse([MMAP, step])).toThrow(`mine.jsonl:1 (x) step 1: ${problem}`);
  });

  it('names wrong fields of the case itself, and unknown kernels', () => {
    expect(() => parse([MMAP], { strenth: 'exact' })).toThrow(
      'mine.jsonl:1 (x): unknown field strenth (did you mean strength?)',
    );
    expect(() => parse([MMAP], { same_on: ['6.11'] })).toThrow('unknown kernel 6.11');
    expect(() => parse([MMAP], { differs: { '6.1': { '3': {} } } })).toThrow(
      'mine.jsonl:1 (x) differs.6.1: no step 3 (steps are 0 to 0, or "from")',
    );
  });

  it('checks the steps of another version’s course when the file is read', () => {
    const differs = { '6.1': { from: { step: 0, steps: [{ do: 'mmapp' }] } } };
    expect(() => parse([MMAP], { differs })).toThrow(
      'differs.6.1 from.steps[0]: unknown verb mmapp (did you mean mmap?)',
    );
  });
});

describe('the table of the format', () => {
  it('has every verb and look that is acted out', () => {
    for (const name of Object.keys(VERBS)) expect(VERB_FORMS.has(name), name).toBe(true);
    for (const name of Object.keys(LOOKS)) expect(LOOK_FORMS.has(name), name).toBe(true);
  });

  it('gives every input a form', async () => {
    const { formOf } = await import('./caseFormat.ts');
    for (const forms of [VERB_FORMS, LOOK_FORMS]) {
      for (const [name, form] of forms) {
        for (const field of form.inputs.keys()) {
          expect(formOf(name, field), `${name}.${field}`).toBeDefined();
        }
      }
    }
  });
});
