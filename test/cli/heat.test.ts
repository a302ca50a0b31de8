/**
 * `hetmem heat` as a process, on a small synthetic program. Runs dist/, which `npm test` has just
 * built.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
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
