import { describe, expect, it } from 'vitest';
import { Ring } from './ring.ts';

function pushed(ring: Ring, values: readonly number[]): Ring {
  for (const value of values) {
    ring.push();
    ring.set(0, value);
    ring.set(1, -value);
  }
  return ring;
}

function rowsOf(ring: Ring): number[][] {
  return Array.from({ length: ring.length }, (_, row) => [ring.get(row, 0), ring.get(row, 1)]);
}

describe('Ring', () => {
  it.each([
    { values: [], rows: [], lost: 0 },
    { values: [1], rows: [1], lost: 0 },
    { values: [1, 2, 3], rows: [1, 2, 3], lost: 0 },
    { values: [1, 2, 3, 4], rows: [2, 3, 4], lost: 1 },
    { values: [1, 2, 3, 4, 5, 6, 7, 8], rows: [6, 7, 8], lost: 5 },
  ])('of three rows keeps $rows of $values', ({ values, rows, lost }) => {
    const ring = pushed(new Ring(2, 3), values);
    expect(rowsOf(ring)).toEqual(rows.map((value) => [value, -value]));
    expect(ring.nrLost).toBe(lost);
  });

  it('opens a row with zeros, not with what was overwritten', () => {
    const ring = pushed(new Ring(2, 1), [7]);
    ring.push();
    expect(rowsOf(ring)).toEqual([[0, 0]]);
  });

  it('refuses rows and columns that are not there', () => {
    const ring = new Ring(2, 3);
    expect(() => ring.set(0, 1)).toThrow('column 0');
    pushed(ring, [1]);
    expect(() => ring.get(1, 0)).toThrow('row 1');
    expect(() => ring.set(2, 1)).toThrow('column 2');
  });

  it('forgets everything on clear, the lost rows too', () => {
    const ring = pushed(new Ring(2, 1), [1, 2]);
    ring.clear();
    expect([ring.length, ring.nrLost]).toEqual([0, 0]);
  });
});
