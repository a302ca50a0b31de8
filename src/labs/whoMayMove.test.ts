/** A3: permission models; the verdict follows the figures. */
import { describe, expect, it } from 'vitest';
import { withFigures } from '../../test/labs/canary.ts';
import { FigureReader } from './figureReader.ts';
import { runLab } from './runLab.ts';
import { whoMayMove as lab } from './whoMayMove.ts';

const result = runLab(lab, { seed: 1, settings: ['pages=8'] }, 'test');
const reader = new FigureReader(result.figures);
const cell = (call: string, caller: string, column: string) =>
  reader.text('doors', [call, caller], column);

describe('who may move', () => {
  it('PP-5: RFC v1 lets anybody move pages of one owner, shared ones with CAP_SYS_NICE', () => {
    expect(cell('RFC v1', 'unprivileged', 'moved alone')).toBe('8');
    expect(cell('RFC v1', 'unprivileged', 'MOVE_ALL')).toBe('-EPERM');
    expect(cell('RFC v1', 'CAP_SYS_NICE', 'moved shared')).toBe('8');
  });

  it('PP-43, PP-44: RFC v3 refuses everything without CAP_SYS_ADMIN', () => {
    for (const caller of ['unprivileged', 'CAP_SYS_NICE']) {
      expect(cell('RFC v3', caller, 'MOVE')).toBe('-EPERM');
      expect(cell('RFC v3', caller, 'frames seen')).toBe('0');
    }
    expect(cell('RFC v3', 'CAP_SYS_ADMIN', 'moved shared')).toBe('8');
  });

  it('MP-6: move_pages asks for the right to trace the process', () => {
    expect(cell('move_pages', 'CAP_SYS_NICE', 'MOVE')).toBe('-EPERM');
  });

  it('PP-14: nobody moves a page against its cpuset', () => {
    expect(Math.max(...reader.column('doors', 'moved against the cpuset'))).toBe(0);
  });
});

describe('the verdict follows the figures', () => {
  it('names the hole and what closes it', () => {
    expect(result.verdict).toMatch(/^In RFC v1 anybody moves .* leaves nothing to do or to see/);
    expect(result.positions.map(({ support }) => support)).toEqual(['supported', 'supported']);
  });

  it('a hole left in v3, or none in v1, is told', () => {
    const holes = withFigures(lab, result, [
      { figure: 'doors', row: ['RFC v3', 'unprivileged'], column: 'moved alone', to: 3 },
      { figure: 'doors', row: ['RFC v1', 'unprivileged'], column: 'moved alone', to: 0 },
    ]);
    expect(holes.verdict).toMatch(/^In RFC v1 nobody .*; RFC v3 still lets others move 3 pages/);
    expect(holes.positions.map(({ support }) => support)).toEqual([
      'not supported',
      'not supported',
    ]);
  });
});
