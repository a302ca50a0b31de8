/** E2, E3: pins against hot-unplug. */
import { describe, expect, it } from 'vitest';
import { withFigures } from '../../test/labs/canary.ts';
import { FigureReader } from './figureReader.ts';
import { pinsVsUnplug as lab } from './pinsVsUnplug.ts';
import { runLab } from './runLab.ts';

const settings = ['normal=64', 'movable=512', 'user=320', 'pins=16'];
const result = runLab(lab, { seed: 1, settings }, 'test');
const reader = new FigureReader(result.figures);

describe('blocks with pins in them (PM-61, PM-71, PM-98, PM-106)', () => {
  it('short pins, and long ones before the change, keep the blocks they lie in', () => {
    for (const kind of ['short', 'long, before']) {
      const offline = reader.number('tried', [kind], 'went offline');
      expect(offline).toBeLessThan(4);
      expect(reader.number('tried', [kind], 'ended by ^C (-EINTR)')).toBe(4 - offline);
      expect(reader.number('tried', [kind], 'migrated to pin')).toBe(0);
      expect(reader.text('reasons', [kind], 'obstacle')).toBe('pinned');
      expect(reader.number('reasons', [kind], 'blocks')).toBe(4 - offline);
      expect(reader.number('tried', [kind], 'went offline once unpinned')).toBe(4);
    }
  });

  it('long pins after it leave the zone: all go offline', () => {
    expect(reader.number('tried', ['long, after'], 'went offline')).toBe(4);
    expect(reader.number('tried', ['long, after'], 'migrated to pin')).toBe(16);
    expect(reader.text('reasons', ['long, after'], 'obstacle')).toBe('none');
    expect(reader.column('shares', 'long, after').every((share) => share === 100)).toBe(true);
  });

  it('what is foreseen is what is seen when it is tried', () => {
    for (const kind of ['short', 'long, before', 'long, after']) {
      const foreseen = reader.number('shares', [16], kind);
      expect(reader.number('tried', [kind], 'went offline')).toBe((4 * foreseen) / 100);
    }
  });
});

describe('the verdict follows the figures', () => {
  it('names the least number of pins that keeps every block', () => {
    expect(result.verdict).toMatch(/^Before the change 16 long-term pins leave [0-9.]+ % /);
    const all = withFigures(lab, result, [
      { figure: 'shares', row: [8], column: 'long, before', to: 0 },
      { figure: 'shares', row: [16], column: 'long, before', to: 0 },
    ]);
    expect(all.verdict).toMatch(/^Before the change 8 long-term pins are enough to keep every/);
  });

  it('positions fall with the figures', () => {
    const supports = (changes: Parameters<typeof withFigures>[2]) => {
      return withFigures(lab, result, changes).positions.map(({ support }) => support);
    };
    expect(supports([])).toEqual(['supported', 'supported']);
    const went = { figure: 'tried', column: 'went offline' } as const;
    expect(supports([{ ...went, row: ['long, after'], to: 0 }])[0]).toBe('not supported');
    expect(supports([{ ...went, row: ['short'], to: 4 }])[1]).toBe('partly');
  });
});
