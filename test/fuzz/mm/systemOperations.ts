/**
 * What callers of system calls on placement and the administrator can do: move_pages,
 * migrate_pages, mbind, cpusets, memory blocks, soft offlining, pools of huge pages.
 */
import fc from 'fast-check';
import type { RangePick } from './operations.ts';

export type SystemOperation =
  /** `move`: 0 asks only, 1 MPOL_MF_MOVE, 2 MPOL_MF_MOVE_ALL. */
  | { op: 'movePages'; proc: number; range: RangePick; nid: number; move: number }
  | { op: 'migratePages'; proc: number; from: number; to: number }
  | { op: 'mbind'; proc: number; range: RangePick; mode: number; nodes: number; flags: number }
  /** `set`: 1 or 2; 0 is the root. */
  | { op: 'cpusetMems'; set: number; mems: number }
  | { op: 'cpusetAttach'; proc: number; set: number }
  | { op: 'beginOffline'; block: number; steps: number }
  | { op: 'stepOffline'; steps: number; signal: boolean }
  | { op: 'softOffline'; proc: number; range: RangePick }
  | { op: 'hugePool'; nid: number; pages: number }
  | { op: 'hugeMap'; proc: number; slot: number; pages: number }
  | { op: 'hugeTouch'; proc: number; slot: number; at: number; write: boolean }
  | { op: 'hugeUnmap'; proc: number; slot: number };

export type WeightedOperation = {
  readonly weight: number;
  readonly arbitrary: fc.Arbitrary<SystemOperation>;
};

const nid = fc.nat({ max: 3 });
const nodes = fc.integer({ min: 1, max: 15 });
const block = fc.nat({ max: 31 });
const set = fc.nat({ max: 2 });
const slot = fc.nat({ max: 2 });

/** Their arbitraries, given how processes and ranges are picked. */
export function systemOperations(
  proc: fc.Arbitrary<number>,
  range: fc.Arbitrary<RangePick>,
): WeightedOperation[] {
  const one = (weight: number, fields: object): WeightedOperation => ({
    weight,
    arbitrary: fc.record(fields as never) as fc.Arbitrary<SystemOperation>,
  });
  const op = (name: SystemOperation['op']): fc.Arbitrary<string> => fc.constant(name);
  const move = fc.nat({ max: 2 });
  const mode = fc.integer({ min: 0, max: 6 });
  const flags = fc.nat({ max: 7 });
  const steps = fc.integer({ min: 0, max: 4 });
  const touched = { slot, at: fc.nat({ max: 1100 }), write: fc.boolean() };
  return [
    one(5, { op: op('movePages'), proc, range, nid, move }),
    one(2, { op: op('migratePages'), proc, from: nodes, to: nodes }),
    one(4, { op: op('mbind'), proc, range, mode, nodes, flags }),
    one(2, { op: op('cpusetMems'), set, mems: nodes }),
    one(2, { op: op('cpusetAttach'), proc, set }),
    one(2, { op: op('beginOffline'), block, steps }),
    one(3, { op: op('stepOffline'), steps, signal: fc.nat({ max: 3 }).map((n) => n === 3) }),
    one(1, { op: op('softOffline'), proc, range }),
    one(1, { op: op('hugePool'), nid, pages: fc.nat({ max: 3 }) }),
    one(1, { op: op('hugeMap'), proc, slot, pages: fc.constantFrom(512, 1024) }),
    one(3, { op: op('hugeTouch'), proc, ...touched }),
    one(1, { op: op('hugeUnmap'), proc, slot }),
  ];
}
