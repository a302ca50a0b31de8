/** `hetmem conform`, also as a process: exit codes, wrong input, known deviations. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { commandLine } from './commandLine.ts';
import { hetmem } from './hetmem.ts';

const DEVIATION = 'dem_on_reclaim_mbind0.noswap';

const MMAP = {
  do: 'mmap',
  region: 'A',
  pages: 2,
  prot: ['READ', 'WRITE'],
  flags: ['PRIVATE', 'ANONYMOUS'],
  at: '0x700000000000',
};
const TOUCH = { do: 'touch', mode: 'write', region: 'A', from: 0, n: 2 };

describe('hetmem conform', () => {
  let folder = '';
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'hetmem-conform-'));
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  function fileOf(steps: object[]): string {
    const one = { group: 'g', machine: 'four-nodes-cma', strength: 'exact', expect: {} };
    const file = join(folder, 'mine.jsonl');
    writeFileSync(file, `${JSON.stringify({ id: 'mine', ...one, steps })}\n`);
    return file;
  }

  const conform = (steps: object[], ...args: string[]) => run(fileOf(steps), ...args);

  const run = (...args: string[]) => commandLine('conform', ...args);
  const runProcess = (...args: string[]) => hetmem('conform', ...args);

  const where = (label: string) => ({
    look: 'where',
    region: 'A',
    from: 0,
    n: 2,
    expect: { pages: [[label, 2]] },
  });

  it('passes with 0, and ends with the totals', async () => {
    const done = runProcess(fileOf([MMAP, TOUCH, where('n0/Movable+anon')]));
    expect(done).toMatchObject({ code: 0, err: '' });
    expect(done.out.trimEnd().split('\n').at(-1)).toBe('1 passed, 0 failed, 0 skipped');
  });

  it('fails with 1 and tells step, expected, got, rules and where the pages are', async () => {
    const done = runProcess(fileOf([MMAP, TOUCH, where('n1/Normal+anon')]));
    expect(done.code).toBe(1);
    expect(done.out).toContain('FAILED  mine\n  step 2, look where A: pages\n');
    expect(done.out).toContain('expected [["n1/Normal+anon",2]]');
    expect(done.out).toContain('got      [["n0/Movable+anon",2]]');
    expect(done.out).toContain('model    pages of A now: n0/Movable+anon × 2');
  });

  it('names rules by verb for a case that no index knows', async () => {
    const step = { do: 'migrate_pages', pid: 'self', old: [0], new: [1], expect: { ret: 99 } };
    const done = await conform([MMAP, TOUCH, step]);
    expect(done.out).toContain('rules    MP-60..68; MP-85..89');
  });

  it('refuses a misspelt verb with 2: place, step, nearest name', async () => {
    const done = runProcess(fileOf([MMAP, { ...TOUCH, do: 'tuch' }]));
    expect(done.code).toBe(2);
    expect(done.out).toContain('FAILED  mine: wrong input\n');
    expect(done.out).toContain('mine.jsonl:1 (mine) step 1: unknown verb tuch');
    expect(done.out).toContain('did you mean touch?');
    expect(done.out).toContain('0 passed, 1 failed, 0 skipped');
  });

  it('runs the other cases of a file in which lines cannot be read', async () => {
    const file = join(folder, 'mixed.jsonl');
    const good = { id: 'good', group: 'g', machine: 'four-nodes', strength: 'exact', steps: [] };
    const lines = ['{"id":', good, { ...good, id: 'm', machine: 'nine-nodes' }, { id: 'bare' }];
    const text = lines.map((line) => (typeof line === 'string' ? line : JSON.stringify(line)));
    writeFileSync(file, `${text.join('\n')}\n`);
    const done = await run(file);
    expect(done.code).toBe(2);
    expect(done.out).toContain(`FAILED  ${file}:1: wrong input\n  ${file}:1: no JSON: `);
    expect(done.out).toContain(`${file}:3 (m): no machine nine-nodes in machines.json`);
    expect(done.out).toContain('1 passed, 3 failed, 0 skipped');
    expect((await run(file, '--case', 'good')).code).toBe(0);
  });

  it('tells an undeclared region with 2 and runs the other cases', async () => {
    const done = await conform([MMAP, { ...TOUCH, region: 'B' }]);
    expect(done.code).toBe(2);
    expect(done.out).toContain('step 1: process main has no region B');
    expect(done.out).toContain('0 passed, 1 failed, 0 skipped');
  });

  it('wants a signal that the case says ended the process', async () => {
    const done = await conform([MMAP, TOUCH], '--json');
    expect(JSON.parse(done.out)).toMatchObject({ passed: 1 });
    const file = join(folder, 'mine.jsonl');
    const text = { id: 'k', group: 'g', machine: 'four-nodes-cma', strength: 'exact' };
    const expected = { killed_by: 'SIGBUS' };
    writeFileSync(file, JSON.stringify({ ...text, steps: [MMAP, TOUCH], expect: expected }));
    expect((await run(file)).out).toContain('expected "SIGBUS"');
  });

  it('marks a known deviation: it fails, unless --allow-known', async () => {
    const done = await run('--case', DEVIATION);
    expect(done.code).toBe(1);
    expect(done.out).toContain(`DEVIATES ${DEVIATION}: known deviation: `);
    expect(done.out).toContain('1 of the 1 failed: known deviations');
    expect((await run('--case', DEVIATION, '--allow-known')).code).toBe(0);
    expect(JSON.parse((await run('--case', DEVIATION, '--json')).out)).toMatchObject({
      failed: 1,
      known_deviations: 1,
    });
  });
});
