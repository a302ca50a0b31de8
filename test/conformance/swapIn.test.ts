/** Small cases: what comes back from swap, and where (OV-31b, OV-31c; do_swap_page). */
import { describe, it } from 'vitest';
import { mmap, OK, passes, type Step } from './smallCases.ts';

const THP = '/sys/kernel/mm/transparent_hugepage';
const set = (size: string, value: string): Step => ({
  do: 'sysfs.write',
  file: `${THP}/hugepages-${size}kB/enabled`,
  value,
  expect: OK,
});
const range = (from: number, n: number): Step => ({ region: 'A', from, n });
const madvise = (advice: string, from = 0, n = 32): Step => ({
  do: 'madvise',
  ...range(from, n),
  advice,
  expect: OK,
});
const touch = (mode: string, from: number, n = 1): Step => ({
  do: 'touch',
  mode,
  ...range(from, n),
});
const where = (...runs: [string, number][]): Step => ({
  look: 'where',
  ...range(0, 32),
  expect: { pages: runs },
});
const LARGE = 'n0/Movable+anon+thp';
const SMALL = 'n0/Movable+anon';
const intact: Step = { look: 'data', region: 'A', expect: { data: 'intact' } };

/** 32 pages in swap, of areas that 64 KiB folios are made of. */
const swapped: Step[] = [
  set('64', 'madvise'),
  set('2048', 'never'),
  mmap(32),
  madvise('HUGEPAGE'),
  touch('write', 0, 32),
  madvise('PAGEOUT'),
  where(['swap', 32]),
];

describe('large swap-in (6.12: alloc_swap_folio)', () => {
  it('brings the run of slots back as one folio, writable at once', () => {
    const back = [touch('read', 5), where([LARGE, 16], ['swap', 16]), touch('write', 6)];
    const vmstat = { pswpin: 32, pgreuse: 0 };
    passes([...swapped, ...back, touch('write', 20), where([LARGE, 32]), intact], {
      expect: { vmstat },
    });
  });

  it('not with the size switched off', () => {
    const one = where(['swap', 5], [SMALL, 1], ['swap', 26]);
    passes([...swapped, set('64', 'never'), touch('read', 5), one]);
  });

  it('follows the policy in force, and moves as a whole afterwards', () => {
    const bind = { do: 'mbind', ...range(0, 32), mode: 'BIND', nodes: [1], flags: [], expect: OK };
    const back = 'n1/Normal+anon+thp';
    const move = { do: 'move_pages', pid: 'self', count: 1, pages: [['A', 3, 1]] };
    const moved = { nodes: [[2, 1]], flags: ['MOVE'], expect: { ret: 0, status: [[2, 1]] } };
    passes([
      ...swapped,
      bind,
      touch('read', 0),
      where([back, 16], ['swap', 16]),
      { ...move, ...moved },
      where(['n2/Normal+anon+thp', 16], ['swap', 16]),
      intact,
    ]);
  });

  it('what a child also has, or what misses a page, comes back one by one', () => {
    const fork: Step = { do: 'fork', as: 'child' };
    passes([...swapped, fork, touch('read', 5), where(['swap', 5], [SMALL, 1], ['swap', 26])]);
    const hole = [madvise('DONTNEED', 3, 1), touch('read', 5)];
    passes([
      ...swapped,
      ...hole,
      where(['swap', 3], ['none', 1], ['swap', 1], [SMALL, 1], ['swap', 26]),
    ]);
  });
});
