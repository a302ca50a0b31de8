/** E6: what DMA loses when pins break huge pages. */
import { describe, expect, it } from 'vitest';
import { withFigures } from '../../test/labs/canary.ts';
import { FigureReader } from './figureReader.ts';
import { pinsAndDma as lab } from './pinsAndDma.ts';
import { runLab } from './runLab.ts';

const settings = ['normal=64', 'movable=64', 'buffer=16'];
const result = runLab(lab, { seed: 1, settings }, 'test');
const reader = new FigureReader(result.figures);

describe('a pinned buffer of huge pages (PM-21, PM-100)', () => {
  it('moves whole while ZONE_NORMAL has huge pages, else is split and moved in pieces', () => {
    expect(reader.number('mappings', [0], 'after')).toBe(0.5);
    expect(reader.number('buffer', ['after', 0], 'huge pages split')).toBe(0);
    expect(reader.number('buffer', ['after', 100], 'huge pages split')).toBeGreaterThan(0);
    expect(reader.number('mappings', [100], 'after')).toBeGreaterThan(100);
    expect(reader.number('buffer', ['after', 100], 'pinned')).toBe(16);
  });

  it('before the change it stays as it is', () => {
    for (const mappings of reader.column('mappings', 'before')) expect(mappings).toBe(0.5);
  });
});

describe('the verdict follows the figures', () => {
  it('as measured, and when nothing breaks', () => {
    expect(result.verdict).toMatch(/^Only while ZONE_NORMAL has free huge pages: /);
    expect(result.positions[0].support).toBe('supported');
    expect(result.positions[1].support).toBe('partly');
    const whole = withFigures(lab, result, [
      { figure: 'mappings', row: [], column: 'after', to: 0.5 },
      { figure: 'buffer', row: [], column: 'huge pages split', to: 0 },
    ]);
    expect(whole.verdict).toMatch(/^Yes: 0\.5 IOMMU mappings per MiB/);
    expect(whole.positions.map(({ support }) => support)).toEqual(['not supported', 'supported']);
  });
});
