/** E1, E5: the machine of the review, before and after; the verdict follows the figures. */
import { describe, expect, it } from 'vitest';
import { withFigures } from '../../test/labs/canary.ts';
import { FigureReader } from './figureReader.ts';
import { reviewersMachine as lab } from './reviewersMachine.ts';
import { runLab } from './runLab.ts';

const result = runLab(lab, { seed: 1, settings: ['accesses=20000'] }, 'test');
const reader = new FigureReader(result.figures);
const supports = (one = result) => one.positions.map(({ support }) => support);

describe('the machine of the review (PM-55, PM-95)', () => {
  it('before: everything is pinned where it is, a quarter of the memory in ZONE_MOVABLE', () => {
    expect(reader.number('outcome', ['before'], 'pinned')).toBe(256);
    expect(reader.number('outcome', ['before'], 'migrated')).toBe(0);
    expect(reader.number('zones', ['before', 'pinning'], 'MOVABLE pinned')).toBeGreaterThan(250);
  });

  it('after: pins leave ZONE_MOVABLE until ZONE_NORMAL is exhausted, PM-25', () => {
    expect(reader.number('zones', ['after', 'pinning'], 'MOVABLE pinned')).toBe(0);
    expect(reader.text('outcome', ['after'], 'ended with')).toBe('-ENOMEM');
    const pinned = reader.number('outcome', ['after'], 'pinned');
    expect(pinned).toBeGreaterThan(240);
    expect(pinned).toBeLessThan(256);
    expect(reader.number('outcome', ['after'], 'free in MOVABLE then')).toBeGreaterThan(200);
    expect(reader.number('zones', ['after', 'pinning'], 'NORMAL user')).toBe(0);
  });

  it('needs the 512 MiB of the mail and what the mail ignores: watermarks and page tables', () => {
    const [{ published, ours, deviation }] = result.published;
    expect(published).toBe(512);
    expect(ours).toBeGreaterThan(512);
    expect(deviation).toBeLessThan(0.03);
  });
});

describe('the verdict follows the figures', () => {
  it('says no, and why', () => {
    expect(result.verdict).toMatch(/^No: pinning ends with -ENOMEM after 2[0-9.]+ of 256 MiB/);
    expect(result.verdict).toContain(`ZONE_NORMAL needs ${result.published[0].ours} MiB`);
    expect(supports()).toEqual(['supported', 'supported', 'supported']);
  });

  it('all pinned and the kernel served: yes', () => {
    const good = withFigures(lab, result, [
      { figure: 'outcome', row: ['after'], column: 'pinned', to: 256 },
      { figure: 'outcome', row: ['after'], column: 'kernel got', to: 16 },
    ]);
    expect(good.verdict).toMatch(/^Yes: all 256 MiB are pinned/);
    expect(supports(good)[0]).toBe('not supported');
    expect(supports(good)[2]).toBe('partly');
  });

  it('all pinned at the kernel’s cost: says so', () => {
    const some = withFigures(lab, result, [
      { figure: 'outcome', row: ['after'], column: 'pinned', to: 256 },
    ]);
    expect(some.verdict).toMatch(/but the kernel then gets [0-9.]+ of 16 MiB \(before: 16\)/);
    expect(supports(some)[0]).toBe('partly');
  });

  it('pins left in ZONE_MOVABLE: the promise is broken', () => {
    const broken = withFigures(lab, result, [
      { figure: 'zones', row: ['after', 'pinning'], column: 'MOVABLE pinned', to: 3 },
    ]);
    expect(supports(broken)[1]).toBe('not supported');
  });
});

describe('other machines', () => {
  it('with room for kernel and pins in ZONE_NORMAL the same load is fine', () => {
    const settings = ['normal=96', 'movable=64', 'unmovable=32', 'pinned=32', 'user=48'];
    const small = [...settings, 'swap=128', 'growth=4', 'accesses=1000'];
    expect(runLab(lab, { seed: 1, settings: small }, 'test').verdict).toMatch(/^Yes: /);
    const tight = ['normal=64', ...small.slice(1)];
    expect(runLab(lab, { seed: 1, settings: tight }, 'test').verdict).toMatch(/^No: /);
  });
});
