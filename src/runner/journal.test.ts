import {
  appendFileSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { UserError } from '../base/assert.ts';
import type { RunResult } from '../experiment/index.ts';
import { codeKey, Journal, runKey } from './journal.ts';

let folder = '';
let path = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'hetmem-journal-'));
  path = join(folder, 'results/x.journal');
});
afterEach(() => rmSync(folder, { recursive: true }));

/** What a journal keeps of a result is up to nobody: any will do. */
const result = (seed: number) => ({ format: 1, seed, machine: 'é' }) as unknown as RunResult;
const seedsOf = (journal: Journal) =>
  [...journal.finished].map(([key, { seed }]) => `${key}${seed}`);

function written(...seeds: number[]): Journal {
  const journal = Journal.start(path);
  for (const seed of seeds) journal.add('k'.repeat(seed), result(seed));
  journal.close();
  return journal;
}

describe('Journal', () => {
  it('appears with the first finished run and gives all of them back', () => {
    const journal = Journal.start(path);
    expect(existsSync(path)).toBe(false);
    journal.add('a', result(1));
    expect(Journal.resume(path).finished.get('a')).toEqual(result(1));
    journal.add('b', result(2));
    journal.close();
    expect(seedsOf(Journal.resume(path))).toEqual(['a1', 'b2']);
  });

  it('leaves nothing behind when all is done', () => {
    written(1).remove();
    expect(existsSync(join(folder, 'results'))).toBe(false);
  });

  it('leaves the folder to others', () => {
    const journal = Journal.start(path);
    journal.add('a', result(1));
    writeFileSync(join(folder, 'results/mine'), '');
    journal.remove();
    expect(existsSync(join(folder, 'results/mine'))).toBe(true);
  });

  it('goes on after a line that was cut, wherever it was cut', () => {
    written(1, 2, 3);
    const whole = readFileSync(path);
    const lastLine = whole.lastIndexOf(10, whole.length - 2) + 1;
    for (let length = lastLine; length < whole.length; length++) {
      writeFileSync(path, whole.subarray(0, length));
      const journal = Journal.resume(path);
      expect(seedsOf(journal)).toEqual(['k1', 'kk2']);
      journal.add('kkk', result(3));
      journal.close();
      expect(readFileSync(path).equals(whole)).toBe(true);
    }
  });

  it('does not believe what stands behind a broken line', () => {
    written(1, 2);
    appendFileSync(path, '{"run":"bad","result":{\n{"run":"c","result":{"seed":3}}\n');
    const journal = Journal.resume(path);
    expect(seedsOf(journal)).toEqual(['k1', 'kk2']);
    journal.add('d', result(4));
    journal.close();
    expect(seedsOf(Journal.resume(path))).toEqual(['k1', 'kk2', 'd4']);
  });

  it('begins anew when it was cut within its first line', () => {
    written(1);
    truncateSync(path, 9);
    const journal = Journal.resume(path);
    expect(seedsOf(journal)).toEqual([]);
    journal.add('a', result(1));
    journal.close();
    expect(seedsOf(Journal.resume(path))).toEqual(['a1']);
  });

  it('does not touch a file that is something else', () => {
    written(1);
    writeFileSync(path, 'a shopping list\n');
    expect(() => Journal.resume(path)).toThrow(UserError);
    expect(() => Journal.resume(path)).toThrow(/is no journal of this hetmem/);
    expect(readFileSync(path, 'utf8')).toBe('a shopping list\n');
  });

  it('keeps the journal of an interrupted run when a new one is started', () => {
    written(1, 2);
    const journal = Journal.start(path);
    expect(journal.finished.size).toBe(0);
    expect(seedsOf(Journal.resume(`${path}.old`))).toEqual(['k1', 'kk2']);
  });

  it('says whose fault it is when it cannot be written', () => {
    writeFileSync(join(folder, 'results'), 'a file');
    expect(() => Journal.start(path)).toThrow(UserError);
    const inFile = join(folder, 'nosuch/\0/x');
    expect(() => Journal.start(inFile)).toThrow(UserError);
  });
});

describe('keys', () => {
  it('differ with anything that could change a result', () => {
    expect(runKey(['1', { a: 1 }])).toBe(runKey(['1', { a: 1 }]));
    expect(runKey(['1', { a: 1 }])).not.toBe(runKey(['2', { a: 1 }]));
    expect(runKey(['1', { a: 1 }])).not.toBe(runKey(['1', { a: 2 }]));
  });

  it('differ with the code, and not with its tests', () => {
    writeFileSync(join(folder, 'a.js'), '1');
    const key = codeKey(folder);
    writeFileSync(join(folder, 'a.test.ts'), '1');
    writeFileSync(join(folder, 'a.d.ts'), '1');
    expect(codeKey(folder)).toBe(key);
    writeFileSync(join(folder, 'a.js'), '2');
    expect(codeKey(folder)).not.toBe(key);
  });
});
