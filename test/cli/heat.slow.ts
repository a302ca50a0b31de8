/**
 * Figures of `hetmem heat` as a process, on a small synthetic program: what they say of sources.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Comparison } from '../../src/experiment/index.ts';
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

describe('figures of hetmem heat', () => {
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
});
