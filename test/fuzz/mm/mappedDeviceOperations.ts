/**
 * What can be done to devices whose memory programs map by themselves: a P2PDMA provider and a
 * device-dax range.
 */
import fc from 'fast-check';
import type { RangePick } from './operations.ts';

/** `pinAs…`, `getAs…`: by whom; system callers do not say FOLL_PCI_P2PDMA. */
export type PeerWhat =
  | 'map'
  | 'mapBadly'
  | 'pin'
  | 'get'
  | 'pinFast'
  | 'getFast'
  | 'pinAsSystem'
  | 'getAsSystem'
  | 'pinForLong'
  | 'dma'
  | 'poison'
  | 'remove';

/** `poisonFile`: a page of a file on the FS-DAX device instead. */
export type DevdaxWhat =
  | 'map'
  | 'mapPrivate'
  | 'pin'
  | 'pinForLong'
  | 'poison'
  | 'poisonFile'
  | 'remove';

export type MappedDeviceOperation =
  /** `which`: of held pages, or of clients on the bus. */
  | {
      op: 'peer';
      what: PeerWhat;
      proc: number;
      range: RangePick;
      pages: number;
      prot: number;
      which: number;
    }
  | {
      op: 'devdax';
      what: DevdaxWhat;
      proc: number;
      range: RangePick;
      pages: number;
      prot: number;
      pgoff: number;
    };

/** Pages of the device-dax range: one section. */
export const DEVDAX_PAGES = 32768;

const PEER: readonly PeerWhat[] = [
  'map',
  'map',
  'map',
  'map',
  'mapBadly',
  'pin',
  'get',
  'pinFast',
  'getFast',
  'pinAsSystem',
  'getAsSystem',
  'pinForLong',
  'dma',
  'dma',
  'poison',
  'remove',
];

const DEVDAX: readonly DevdaxWhat[] = [
  'map',
  'map',
  'map',
  'mapPrivate',
  'pin',
  'pinForLong',
  'poison',
  'poisonFile',
  'remove',
];

/** Their arbitraries, given how processes and ranges are picked. */
export function mappedDeviceOperations(
  proc: fc.Arbitrary<number>,
  range: fc.Arbitrary<RangePick>,
): { weight: number; arbitrary: fc.Arbitrary<MappedDeviceOperation> }[] {
  const prot = fc.constantFrom(3, 3, 3, 3, 1, 0);
  return [
    {
      weight: 7,
      arbitrary: fc.record({
        op: fc.constant('peer' as const),
        what: fc.constantFrom(...PEER),
        proc,
        range,
        pages: fc.constantFrom(1, 3, 16, 40, 90),
        prot,
        which: fc.nat({ max: 7 }),
      }),
    },
    {
      weight: 6,
      arbitrary: fc.record({
        op: fc.constant('devdax' as const),
        what: fc.constantFrom(...DEVDAX),
        proc,
        range,
        pages: fc.constantFrom(1, 16, 40, 512, 700),
        prot,
        pgoff: fc.constantFrom(0, 0, 3, 512, DEVDAX_PAGES - 20),
      }),
    },
  ];
}
