/**
 * `hetmem heat` as a process, on a small synthetic program. Runs dist/, which `npm test` has just
 * built.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Comparison } from '../../src/experiment/index.ts';
import { HEAT_SOURCES } from '../../src/policy/index.ts';
import { hetmemIn } from './hetmem.ts';

/** 32 MiB of which a tenth is hot. */
const GUPS = 'gups:size=32:accesses=1';

let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'hetmem-heat-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

const hetmem = (...args: string[]) => hetmemIn(folder, args);

function heatOf(...args: string[]) {
  const { code, out, err } = hetmem('heat', GUPS, ...args, '--json');
  if (code !== 0) throw new Error(err);
  const { runs } = JSON.parse(out) as Comparison;
  return runs.filter(({ policy }) => policy >= 0).map(({ result }) => result!.heat!);
}

describe('hetmem heat', () => {
  it('has a row of figures for every source', () => {
    const first = hetmem('heat', GUPS, '--interval', '5');
    expect(first.err).toBe('');
    expect(first.code).toBe(0);
    const lines = first.out.split('\n').filter((line) => line !== '');
    expect(lines[1]).toMatch(/^source +precision +recall +found +lag +90 % +samples +lost/);
    const names = lines.slice(3, 3 + HEAT_SOURCES.length).map((line) => line.split(' ')[0]);
    expect(names).toEqual(HEAT_SOURCES.map(({ name }) => name));
  });

  it('names the option that has a wrong knob', () => {
    for (const [word, problem] of [
      ['pebs:period=0', 'period is 1 to 1000000000 accesses, not 0'],
      ['cxl:way=4', 'there is no knob way'],
    ]) {
      const { code, err } = hetmem('heat', GUPS, '--source', word!);
      expect([code, err]).toEqual([2, expect.stringContaining(`--source ${word}: ${problem}`)]);
    }
  });

  it('says the same with the same seed', () => {
    const args = ['heat', GUPS, '--source', 'pebs:period=300,damon-paddr', '--interval', '5'];
    expect(hetmem(...args).out).toBe(hetmem(...args).out);
  });

  it('tells accessed bits, which see every page, from samples, which see few', () => {
    const [pebs, bits] = heatOf('--source', 'pebs,idle-bits', '--interval', '5');
    expect(bits!.found).toBeGreaterThan(0.99);
    expect(pebs!.found).toBeLessThan(0.5);
    expect(pebs!.programNs).toBeGreaterThan(0);
    expect([bits!.programNs, bits!.lost]).toEqual([0, 0]);
    // Half an interval late at the median, and what collecting adds.
    expect(bits!.lagNs).toBeLessThan(15e6);
  });

  it('sees more with more samples, for more of the program (HS-33)', () => {
    const [few, many] = heatOf('--source', 'pebs:period=5000', '--source', 'pebs:period=100');
    expect(many!.found).toBeGreaterThan(few!.found);
    expect(many!.programNs).toBeGreaterThan(20 * few!.programNs);
  });

  it('takes a source that reports frames to the pages of the program', () => {
    const [cxl] = heatOf('--source', 'cxl:ways=4:xor=1:threshold=2', '--interval', '5');
    expect(cxl!.samples).toBeGreaterThan(0);
    expect(cxl!.found).toBeGreaterThan(0.3);
    expect(cxl!.programNs).toBe(0);
  });

  it('says what is wrong', () => {
    expect(hetmem('heat').err).toContain('no trace');
    const misspelt = hetmem('heat', GUPS, '--source', 'pebbs');
    expect([misspelt.code, misspelt.err]).toEqual([
      2,
      expect.stringContaining('did you mean pebs?'),
    ]);
    expect(hetmem('heat', GUPS, '--interval', 'x').err).toContain('is no time');
    expect(hetmem('heat', GUPS, '--source', 'cxl:ways=5').code).toBe(2);
  });

  it('lists the sources with their knobs', () => {
    const { out } = hetmem('heat', '--list');
    for (const { name, summary } of HEAT_SOURCES) expect(out).toContain(`${name}: ${summary}`);
  });
});
