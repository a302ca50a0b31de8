/** A8: host memory near the device that reads it, or spread over its links. */
import { describe, expect, it } from 'vitest';
import { withFigures } from '../../test/labs/canary.ts';
import { FigureReader } from './figureReader.ts';
import { nearDevice as lab } from './nearDevice.ts';
import { runLab } from './runLab.ts';

const result = runLab(lab, { seed: 1, settings: [] }, 'test');
const read = new FigureReader(result.figures);

describe('host memory and a device', () => {
  it('A8: a range goes to the nearer node with its 64th access, and never without', () => {
    expect(read.number('closer', [1], 'to node 1')).toBe(0);
    expect(read.number('closer', [16], 'to node 1')).toBe(256);
    expect(read.number('closer', [1], 'gain')).toBe(1);
    expect(result.data.all.broken).toBe(0);
    const { pagesNear, pagesToDevice } = result.data['moved, 64'];
    expect([pagesNear, pagesToDevice]).toEqual([256, 0]);
  });

  it('TI-82: weights of the links use both of them fully', () => {
    expect(read.number('both', ['near'], 'read')).toBeCloseTo(19.83, 2);
    expect(read.number('both', ['far'], 'read')).toBeCloseTo(19.83 / 2, 1);
    expect(read.number('both', ['interleaved'], 'read')).toBeCloseTo(19.83, 1);
    expect(read.number('both', ['weighted'], 'read')).toBeGreaterThan(29);
  });

  it('links as good as each other leave nothing to gain by moving', () => {
    const equal = runLab(lab, { seed: 1, settings: ['hop=0', 'across=100'] }, 'test');
    const gains = new FigureReader(equal.figures).column('closer', 'gain');
    expect(Math.max(...gains)).toBeLessThanOrEqual(1);
    expect(equal.verdict).toMatch(/^Closer memory never pays/);
    expect(equal.positions[0].support).toBe('not supported');
  });
});

describe('the verdict follows the figures', () => {
  it('as measured', () => {
    expect(result.verdict).toMatch(/^Closer memory pays from 4096 accesses a page/);
    expect(result.verdict).toMatch(/memory is best weighted/);
    expect(result.positions.map(({ support }) => support)).toEqual(['partly', 'supported']);
  });

  it('had one node been best', () => {
    const change = { figure: 'both', row: ['near'], column: 'read', to: 99 };
    const other = withFigures(lab, result, [change]);
    expect(other.verdict).toMatch(/memory is best near/);
    expect(other.positions[1].support).toBe('not supported');
  });
});
