/** `hetmem machine`: what it prints, and how it refuses. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { describe as describeMachine } from './machine.ts';
import { createProgram } from './program.ts';

let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'hetmem-machine-'));
});
afterEach(() => {
  rmSync(folder, { recursive: true });
  vi.restoreAllMocks();
  process.exitCode = undefined;
});

async function run(...args: string[]): Promise<{ out: string; err: string }> {
  const texts = { out: '', err: '' };
  vi.spyOn(process.stdout, 'write').mockImplementation((text) => {
    texts.out += text;
    return true;
  });
  vi.spyOn(process.stderr, 'write').mockImplementation((text) => {
    texts.err += text;
    return true;
  });
  const program = createProgram('0', [{ heading: 'Machines:', describe: [describeMachine] }]);
  await program.parseAsync(['node', 'hetmem', 'machine', ...args]);
  return texts;
}

test('D6: show says what the kernel may do with a device memory node', async () => {
  const file = join(folder, 'device.yaml');
  const node = (kind: string, rest: string) => {
    const speed =
      kind === 'dram' ? 'latency: 90ns, bandwidth: 50GB/s' : 'latency: 60ns, bandwidth: 200GB/s';
    return `  - {kind: ${kind}, size: 1GiB, ${speed}, ${rest}}\n`;
  };
  const nodes = [
    node('dram', 'cpus: 4'),
    node('hbm', 'capabilities: cdm-2016'),
    node('hbm', 'capabilities: coherent-2022'),
    node('hbm', 'capabilities: [ksm, damon]'),
  ];
  writeFileSync(file, `format: machine/1\nname: device\nnodes:\n${nodes.join('')}`);
  const { out } = await run('show', file);
  expect(out).toMatch(/^ +1 +cdm-2016 +mempolicy, migrate_in, migrate_out, reclaim/m);
  expect(out).toMatch(/^ +2 +coherent-2022 +nothing$/m);
  expect(out).toMatch(/^ +3 +– +ksm, damon$/m);
  // Of the nodes faster than DRAM only that with reclaim demotes to it.
  const demotes = [1, 2].map((nid) => new RegExp(`^ +${nid} +[0-9]+ +[0-9]+ +yes +(\\S)`, 'm'));
  expect(demotes.map((one) => one.exec(out)?.[1])).toEqual(['0', '–']);
  expect((await run('show', 'dram-cxl-asic')).out).not.toContain('the kernel may');
});

test('list names every shipped machine', async () => {
  const { out } = await run('list');
  expect(out).toMatch(/^dram-4cxl +1 dram 128 GiB, 4 cxl 256 GiB/m);
  const summaries = JSON.parse((await run('list', '--json')).out);
  expect(summaries.map((machine: { name: string }) => machine.name)).toContain('two-socket-dram');
});

test('show prints nodes, latencies, links, tiers and sources', async () => {
  const { out } = await run('show', 'two-socket-dram');
  expect(out).toMatch(/^ +0 +dram +0-15 +64 GiB +DRAM of socket 0$/m);
  expect(out).toMatch(/^ +0 +1 +141.3 ns +141.3 ns +34.3 GB\/s +34.3 GB\/s +1.75 x$/m);
  expect(out).toMatch(/^UPI 0>1 +0 +1 +59.8 ns/m);
  expect(out).toContain('info/cascadelake_mlc.txt');
});

test('show --json has what follows from the machine', async () => {
  const details = JSON.parse((await run('show', 'hbm-dram-cxl', '--json')).out);
  expect(details.memoryTiers).toEqual([4, 2, 127]);
  expect(details.toptier).toEqual([true, true, false]);
  expect(details.demotionTargets[1]).toEqual({ preferred: [0], fallback: [0, 2] });
  expect(details.paths).toHaveLength(3);
});

test('check tells every wrong file, and goes on with the next', async () => {
  const wrong = join(folder, 'wrong.yaml');
  writeFileSync(wrong, 'format: machine/1\nname: x\nnodes:\n  - kind: dramm\n');
  const { out, err } = await run('check', wrong, 'machines/dram-cxl-asic.yaml');
  expect(err).toContain(`${wrong}:4:11: nodes.0.kind: expected one of dram, cxl, hbm, pmem`);
  expect(out).toBe(
    'machines/dram-cxl-asic.yaml: ok: dram-cxl-asic, 1 dram 64 GiB, 1 cxl 128 GiB\n',
  );
  expect(process.exitCode).toBe(2);
});

test('a machine that is not there', async () => {
  await expect(run('show', 'dram-cxl-asik')).rejects.toThrow('did you mean dram-cxl-asic?');
  await expect(run('show', join(folder, 'no.yaml'))).rejects.toThrow('there is no such file');
  await expect(run('show', folder)).rejects.toThrow(/cannot be read/);
});

test('validate prints the rows and a verdict', async () => {
  const { out } = await run('validate', 'dram-cxl-asic');
  expect(out).toMatch(/^unloaded latency 0 to 1 +236.3 +236.3 +ns +0.00 %/m);
  expect(out).toMatch(/All \d+ comparisons are within their bounds.\n$/);
  const groups = JSON.parse((await run('validate', '--json')).out);
  expect(groups.at(-1).title).toBe('No machine in particular');
  expect(process.exitCode).toBeUndefined();
});
