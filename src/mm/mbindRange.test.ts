/** Policies of ranges: areas that are cut and merged, objects of shared memory. OV-31, MP-86a. */
import { describe, expect, it } from 'vitest';
import { MPOL_BIND, MPOL_PREFERRED } from '../uapi/mempolicy.ts';
import { ZONE_NORMAL } from '../uapi/zone.ts';
import { checkInvariants } from './invariants.ts';
import { folioVpnIn, mbindRange } from './mbindRange.ts';
import { Mempolicy } from './mempolicy.ts';
import { bootNodes, TestProgram } from './testProgram.ts';

const ONE = new Mempolicy(MPOL_BIND, 0, 1, 1);
const TWO = new Mempolicy(MPOL_PREFERRED, 0, 2, 2);

function boot(mthp = 0): TestProgram {
  const zones = [{ zone: ZONE_NORMAL, pages: 4096 }];
  const k = bootNodes([
    { cpus: [0, 1], zones },
    { cpus: [], zones },
  ]);
  k.sysctl.mthpAlways = mthp;
  return new TestProgram(k);
}

describe('an object of shared memory (mpol_set_shared_policy)', () => {
  /** Runs of equal policy after pages [from, to) were given some, one by one. */
  function after(...given: readonly (readonly [number, number, Mempolicy | null])[]) {
    const p = boot();
    const file = p.k.newFile('s', 'tmpfs', 100);
    const a = p.map(80, { file, shared: true, pgoff: 10 });
    for (const [from, to, policy] of given) {
      mbindRange(p.k, p.task.mm!, a + from - 10, a + to - 10, policy);
    }
    const runs: [number, number, Mempolicy][] = [];
    for (let i = 0; i < 100; i++) {
      const policy = file.policyAt(i);
      const last = runs.at(-1);
      if (policy === null) continue;
      if (last !== undefined && last[1] === i && last[2] === policy) last[1]++;
      else runs.push([i, i + 1, policy]);
    }
    return runs;
  }

  it.each([
    [
      'beside each other',
      [
        [20, 30, ONE],
        [30, 40, TWO],
      ],
      [
        [20, 30, ONE],
        [30, 40, TWO],
      ],
    ],
    [
      'before the first',
      [
        [30, 40, ONE],
        [10, 20, TWO],
      ],
      [
        [10, 20, TWO],
        [30, 40, ONE],
      ],
    ],
    [
      'the same again',
      [
        [20, 30, ONE],
        [20, 30, TWO],
      ],
      [[20, 30, TWO]],
    ],
    [
      'over the end',
      [
        [20, 30, ONE],
        [25, 40, TWO],
      ],
      [
        [20, 25, ONE],
        [25, 40, TWO],
      ],
    ],
    [
      'over the start',
      [
        [20, 30, ONE],
        [10, 25, TWO],
      ],
      [
        [10, 25, TWO],
        [25, 30, ONE],
      ],
    ],
    [
      'inside',
      [
        [20, 40, ONE],
        [25, 30, TWO],
      ],
      [
        [20, 25, ONE],
        [25, 30, TWO],
        [30, 40, ONE],
      ],
    ],
    [
      'over all of it',
      [
        [20, 30, ONE],
        [10, 40, TWO],
      ],
      [[10, 40, TWO]],
    ],
    [
      'none, inside',
      [
        [20, 40, ONE],
        [25, 30, null],
      ],
      [
        [20, 25, ONE],
        [30, 40, ONE],
      ],
    ],
    [
      'none, over all of it',
      [
        [20, 40, ONE],
        [15, 45, null],
      ],
      [],
    ],
  ] as const)('%s', (_what, given, expected) => {
    expect(after(...given)).toEqual(expected);
  });

  it('is for all who map it, and decides where new pages go', () => {
    const p = boot();
    const file = p.k.newFile('s', 'tmpfs', 8);
    const a = p.map(8, { file, shared: true });
    mbindRange(p.k, p.task.mm!, a + 2, a + 4, TWO);
    const other = new TestProgram(p.k);
    const b = other.map(8, { file, shared: true });
    for (let i = 0; i < 6; i++) other.store(b + i, 1);
    expect([0, 1, 2, 3, 4, 5].map((i) => other.nid(b + i))).toEqual([0, 0, 1, 1, 0, 0]);
  });

  it('a private mapping of it keeps its policy to itself', () => {
    const p = boot();
    const a = p.map(8, { file: p.k.newFile('e', 'ext4', 8) });
    mbindRange(p.k, p.task.mm!, a, a + 8, TWO);
    expect(p.task.mm!.findVma(a)!.file!.sharedPolicy).toEqual([]);
  });
});

describe('areas', () => {
  it('are cut at the ends and merged where they have become equal', () => {
    const p = boot();
    const a = p.map(12, { addr: 512 * 1024 });
    const { mm } = p.task;
    const cuts = () => mm!.vmas.filter((vma) => vma.start >= a && vma.end <= a + 12);
    mbindRange(p.k, mm!, a + 4, a + 8, ONE);
    expect(cuts().map((vma) => [vma.start - a, vma.end - a, vma.policy])).toEqual([
      [0, 4, null],
      [4, 8, ONE],
      [8, 12, null],
    ]);
    mbindRange(p.k, mm!, a, a + 12, ONE);
    expect(cuts().length).toBe(1);
    mbindRange(p.k, mm!, a, a + 12, null);
    expect(cuts().map((vma) => vma.policy)).toEqual([null]);
    checkInvariants(p.k);
  });
});

describe('where an area would map the first page of a folio (page_address_in_vma)', () => {
  it('its own place; -1 where the area has another part of it, or none', () => {
    const p = boot(1 << 2);
    const a = p.mapWritten(8, { addr: 512 * 1024 });
    const { mm } = p.task;
    const [first, second] = [p.head(a), p.head(a + 4)];
    expect([first, second].map((head) => folioVpnIn(p.k, head, mm!.findVma(a)!))).toEqual([
      a,
      a + 4,
    ]);
    mbindRange(p.k, mm!, a, a + 2, ONE);
    const [left, right] = [mm!.findVma(a)!, mm!.findVma(a + 2)!];
    expect([left, right].map((vma) => folioVpnIn(p.k, first, vma))).toEqual([a, -1]);
    expect([left, right].map((vma) => folioVpnIn(p.k, second, vma))).toEqual([-1, a + 4]);
  });
});
