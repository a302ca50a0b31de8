/**
 * Experiments as processes: real runs in worker threads, result files, resuming, ^C. Runs dist/,
 * which `npm test` has just built; `npx vitest` alone may see an older one. The workload is small
 * and synthetic, so all of this takes a few seconds.
 */
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { BIN, ENV, hetmemIn } from './hetmem.ts';

/** `accesses` in millions. */
const experiment = (accesses: number, seeds: string, policies = 'first-touch, hemem') => `
format: experiment/1
name: small
machines: [{machine: dram-cxl-asic, ratio: 1:2}]
policies: [${policies}]
workloads: [{generator: gups, params: {size: 32, accesses: ${accesses}}}]
seeds: ${seeds}
series_points: 20
`;

let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'hetmem-comparison-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

const inFolder = (name: string) => join(folder, name);
const read = (name: string) => readFileSync(inFolder(name), 'utf8');

const hetmem = (...args: string[]) => hetmemIn(folder, args);

/** One worker: each loads all modules, which takes longer than runs as small as these. */
const run = (...args: string[]) => hetmem('run', ...args, '--jobs', '1');

describe('hetmem run', () => {
  it('gives the same bytes with one job and several, and again from its own result', () => {
    writeFileSync(inFolder('e.yaml'), experiment(0.05, '[1, 2]').trimStart());
    const outputs = ['--out', 'one.json', '--html', 'one.html', '--parquet', 'one'];
    const one = run('e.yaml', ...outputs);
    expect(one).toMatchObject({ code: 0, err: '' });
    expect(one.out).toContain('gups');
    expect(one.out).toMatch(/^Over DRAM:CXL 1:2 .*\.$/m);
    expect(one.out).toContain('Report: one.html');
    expect(one.out).toContain('Tables: one\n');
    const two = hetmem('run', 'e.yaml', '--jobs', '2', '--json');
    expect(two).toMatchObject({ code: 0, err: '', out: read('one.json') });
    expect(hetmem('report', 'one.json', '-o', 'again.html').code).toBe(0);
    expect(read('again.html')).toBe(read('one.html'));
    expect(hetmem('report', 'one.json', '--parquet', 'again')).toMatchObject({ code: 0, err: '' });
    const tables = readdirSync(inFolder('one')).sort();
    expect(tables).toContain('runs.parquet');
    expect(readdirSync(inFolder('again')).sort()).toEqual(tables);
    for (const table of tables) expect(read(`again/${table}`)).toBe(read(`one/${table}`));
    const files = ['again', 'again.html', 'e.yaml', 'one', 'one.html', 'one.json'];
    expect(readdirSync(folder).sort()).toEqual(files);
  });

  it('writes the events of each run; its command has no folder of this machine', () => {
    writeFileSync(inFolder('e.yaml'), experiment(0.02, '[1]').trimStart());
    const path = inFolder('e.yaml');
    const done = run(path, '--events', 'e.txt', '--out', 'r.json');
    expect(done).toMatchObject({ code: 0, err: '' });
    expect(JSON.parse(read('r.json')).command).toBe('hetmem run e.yaml');
    const files = readdirSync(folder).filter((name) => name.endsWith('.txt'));
    expect(files.sort()).toEqual([
      'e.gups_size=32_accesses=0.02.dram-cxl-asic-1:2.first-touch.txt',
      'e.gups_size=32_accesses=0.02.dram-cxl-asic-1:2.hemem.txt',
    ]);
    for (const file of files) expect(done.out).toContain(`Events: ${file}\n`);
    expect(read(files[1]!)).toMatch(/^# tracer: nop\n/);
    const again = run(path, '--events', 'e.txt');
    expect(again.code).toBe(2);
    expect(again.err).toContain('exists already');
    expect(run(path, '--events', 'e.json').err).toContain('.pftrace');
  });

  it('reports a run that fails, does the others, and exits with 2', () => {
    const text = experiment(0.02, '[1]').trimStart().replace('ratio: 1:2', 'ratio: [1:2, 1:40]');
    writeFileSync(inFolder('e.yaml'), text);
    const done = run('e.yaml', '--html', 'r.html');
    expect(done.code).toBe(2);
    expect(done.out).toMatch(/^ {2}dram-cxl-asic 1:40: .*less than the 4\.00 MiB/m);
    expect(done.out).toMatch(/^ {4}gups .* on DRAM:CXL 1:40, all policies$/m);
    expect(done.out).toMatch(/\(2 of 5 runs failed\)\.$/m);
    expect(read('r.html')).toContain('2 of 5 runs failed');
  });

  it('leaves no result when the disk is full, and keeps the runs for --resume', () => {
    writeFileSync(inFolder('e.yaml'), experiment(0.02, '[1]').trimStart());
    const full = run('e.yaml', '--out', 'r.json', '--html', '/dev/full');
    expect(full).toMatchObject({ code: 2, out: '' });
    expect(full.err).toContain('/dev/full: no space left on the disk');
    expect(readdirSync(folder).sort()).toEqual(['e.yaml', 'results']);
    const resumed = run('e.yaml', '--out', 'r.json', '--resume');
    expect(resumed.err).toContain('3 finished runs found in results/small.journal');
    expect(resumed.code).toBe(0);
    expect(readdirSync(folder).sort()).toEqual(['e.yaml', 'r.json']);
  });

  it('does not begin when a result could not be written, or the experiment is wrong', () => {
    writeFileSync(inFolder('e.yaml'), experiment(0.1, '[1]', 'first-tuch').trimStart());
    const wrong = run('e.yaml', '--out', 'r.json');
    expect(wrong).toMatchObject({ code: 2, out: '' });
    expect(wrong.err).toContain('e.yaml:4:12: policies.0: no policy first-tuch (did you mean');
    expect(run('nosuch.yaml').err).toContain('nosuch.yaml: there is no such file');
    expect(run('e.yaml', '--out', 'no/r.json').code).toBe(2);
    expect(readdirSync(folder)).toEqual(['e.yaml']);
  });
});

describe('^C', () => {
  it('exits with 130 and no half-written result; --resume ends with the same bytes', async () => {
    writeFileSync(inFolder('e.yaml'), experiment(0.1, '[1, 2, 3]', 'first-touch').trimStart());
    const args = [BIN, 'run', 'e.yaml', '--jobs', '1', '--out', 'r.json', '--html', 'r.html'];
    const child = spawn(process.execPath, args, { env: ENV, cwd: folder, stdio: 'ignore' });
    const ended = new Promise((resolve) => child.on('exit', resolve));
    while (!existsSync(inFolder('results/small.journal'))) await sleep(10);
    child.kill('SIGINT');
    expect(await ended).toBe(130);
    expect(readdirSync(folder).sort()).toEqual(['e.yaml', 'results']);
    const resumed = run('e.yaml', '--resume', '--out', 'r.json');
    expect(resumed.err).toMatch(/hetmem: [1-9]\d? finished runs found in results\/small\.journal/);
    expect(resumed.code).toBe(0);
    expect(run('e.yaml', '--out', 'whole.json').code).toBe(0);
    expect(read('r.json')).toBe(read('whole.json'));
  });
});
