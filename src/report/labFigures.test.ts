/** Figures of labs as SVG: where curves over orders of magnitude lie. */
import { describe, expect, it } from 'vitest';
import type { Figure } from '../labs/index.ts';
import type { Markup } from './html.ts';
import { figureDrawing } from './labFigures.ts';

function figure(isLog: boolean): Figure {
  return {
    id: 'f',
    title: 'F',
    columns: [
      { name: 'pages', unit: '' },
      { name: 'time', unit: 'µs' },
    ],
    rows: [
      [0, 3],
      [1, 10],
      [8, 100],
      [64, 1000],
    ],
    drawing: { kind: 'curves', x: 'pages', series: [{ column: 'time', shade: 'user' }], isLog },
  };
}

const text = (isLog: boolean) => (figureDrawing(figure(isLog)) as Markup).text;
const dots = (svg: string, name: string) =>
  [...svg.matchAll(/<circle [^>]*>/g)].map(([one]) => {
    return Number(new RegExp(`${name}="([0-9.]+)%"`).exec(one)![1]);
  });

describe('curves', () => {
  it('logarithmic: equal factors are equal distances; what is 0 is left out', () => {
    const svg = text(true);
    const [x, y] = ['cx', 'cy'].map((name) => dots(svg, name));
    expect([x.length, y.length]).toEqual([3, 3]);
    expect(x[1] - x[0]).toBeCloseTo(x[2] - x[1], 1);
    expect(y[0] - y[1]).toBeCloseTo(y[1] - y[2], 1);
    const ticks = [...svg.matchAll(/class="tick"[^>]*>([0-9.]+)</g)].map(([, tick]) => tick);
    expect(ticks).toEqual(['10', '100', '1000', '1', '2', '4', '8', '16', '32', '64']);
    expect(svg).toContain('both logarithmic');
  });

  it('else from 0 on', () => {
    const svg = text(false);
    const x = dots(svg, 'cx');
    expect(x).toHaveLength(4);
    expect((x[2] - x[0]) / (x[1] - x[0])).toBeCloseTo(8, 0);
    expect(svg).not.toContain('logarithmic');
  });
});
