/** Rows as curves: what belongs together, one scale, gaps. */
import { expect, it } from 'vitest';
import { curvesOf } from './curves.ts';
import type { Reproduction } from './reproduction.ts';

const column = (name: string, metric = 'rate') => {
  return { name, unit: 'M/s', metric, times: 1, relativeTo: null, digits: 0, run: {} };
};

function result(published: (number | null)[], ours: (number | null)[]): Reproduction {
  const columns = [column('time', 'time'), column('1:2'), column('1:4'), column('1:8')];
  const row = { name: 'mine', run: {}, mark: 'V', only: null };
  const rows = [{ ...row, published }];
  return { table: { columns, rows }, ours: [ours] } as unknown as Reproduction;
}

it('draws columns of one kind, published and ours on one scale', () => {
  expect(curvesOf(result([99, 0, 40, 80], [99, 80, 40, 0]))).toEqual([
    { row: 'mine', over: '1:2 … 1:8, M/s', published: '▁▅█', ours: '█▅▁' },
  ]);
});

it('takes columns with a machine of their own for what they are: no points of a curve', () => {
  const other = result([99, 0, 40, 80], [99, 80, 40, 0]);
  const columns = other.table.columns.map((one) => ({ ...one, run: { machine: one.name } }));
  expect(curvesOf({ ...other, table: { ...other.table, columns } })).toEqual([]);
});

it('leaves gaps, and leaves out what has no three points', () => {
  expect(curvesOf(result([null, 0, null, 80], [null, 0, 0, 0]))[0]!.published).toBe('▁·█');
  expect(curvesOf(result([null, null, null, null], [0, 1, 2, 3]))[0]!.published).toBe(null);
  expect(curvesOf(result([null, 1, 2, 3], [0, 1, 2, null]))).toEqual([]);
});
