import { describe, expect, it } from 'vitest';
import { resolveKnobs } from '../../policy/index.ts';
import { END, SLICE } from '../../trace/index.ts';
import { findWorkload, MEMORY_VPN, openWorkload } from '../../workload/index.ts';
import { FutureRecorder } from './futureRecorder.ts';

const PID = 100;

function open(name: string, params: Record<string, unknown>) {
  const description = findWorkload(name)!;
  const { values, problems } = resolveKnobs(description.knobs, { fill: false, ...params });
  expect(problems).toEqual([]);
  return openWorkload(description, values, 1);
}

/** Rows of a window as [page, accesses]. */
function rowsOf(future: FutureRecorder, window: number, pid = PID): [number, number][] {
  const table = future.tableOf(window, () => pid);
  expect(table.window).toBe(window);
  return Array.from({ length: table.nrRows }, (_, i) => {
    expect(table.pid[i]).toBe(pid);
    return [table.vpn[i] - MEMORY_VPN, table.accesses[i]];
  });
}

describe('FutureRecorder', () => {
  it('counts every access in the window it falls into, hottest pages first', () => {
    const source = open('zipf', { size: 1, accesses: 0.08192 });
    const future = new FutureRecorder(source, 4, 1000);
    expect(future.nrWindows).toBe(4);
    const expected: Map<number, number>[] = [];
    let slices = 0;
    for (let item = source.next(); item !== END; item = source.next()) {
      if (item !== SLICE) continue;
      const window = Math.floor(slices++ / 5);
      expected[window] ??= new Map();
      const { count, page } = source.slice;
      for (let i = 0; i < count; i++) {
        expected[window].set(page[i] >>> 1, (expected[window].get(page[i] >>> 1) ?? 0) + 1);
      }
    }
    for (const [window, counts] of expected.entries()) {
      const ranked = [...counts].sort((a, b) => b[1] - a[1] || a[0] - b[0]);
      expect(rowsOf(future, window)).toEqual(ranked);
    }
  });

  it('leaves the source where a replay begins', () => {
    const source = open('gups', { size: 1, accesses: 0.01 });
    new FutureRecorder(source, 4, 1000);
    source.next();
    expect(source.event.kind).toBe('mmap');
  });

  it('knows which window an access falls into', () => {
    const future = new FutureRecorder(open('zipf', { size: 1, accesses: 0.08192 }), 4, 1000);
    expect([0, 20_479, 20_480, 81_919, 10_000_000].map((n) => future.windowAt(n))).toEqual([
      0, 0, 1, 3, 3,
    ]);
  });

  it('keeps the hottest rows only', () => {
    const source = open('zipf', { size: 1, accesses: 0.08192 });
    const all = rowsOf(new FutureRecorder(source, 1, 1000), 0);
    const short = new FutureRecorder(source, 1, 10);
    expect(rowsOf(short, 0)).toEqual(all.slice(0, 10));
    expect([short.isTruncated, new FutureRecorder(source, 1, 1000).isTruncated]).toEqual([
      true,
      false,
    ]);
  });

  it('tells processes apart', () => {
    const source = open('hot-cold', { pair: 'all', scale: 0.01, accesses: 0.02 });
    const future = new FutureRecorder(source, 1, 100_000);
    const table = future.tableOf(0, (process) => (process === 2 ? -1 : 500 + process));
    expect([...new Set(table.pid)].sort((a, b) => a - b)).toEqual([-1, 500, 501, 503, 504]);
    expect(table.accesses.reduce((sum, n) => sum + n, 0)).toBe(20_000);
  });

  it('is one empty window for a trace without accesses', () => {
    const source = open('gups', { size: 1, accesses: 0.001 });
    const silent = {
      ...source,
      header: source.header,
      totals: null,
      next: () => END as typeof END,
      rewind: () => {},
      regionBase: () => new Float64Array(0),
      regionCount: () => 0,
      slice: source.slice,
      event: null as never,
    };
    const future = new FutureRecorder(silent, 8, 10);
    expect(future.tableOf(future.windowAt(5), () => PID).nrRows).toBe(0);
  });
});
