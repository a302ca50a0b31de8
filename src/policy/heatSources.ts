/**
 * The heat sources that a policy may name, as data: what each reports and what users can set of it.
 * Hosts have the mechanisms (in the simulator src/sim/monitors/). B1, B3..B6; HS-1..HS-99.
 *
 * A policy that leaves the choice to its user declares heatSourceKnobs(): `source`, and the knobs
 * of every source behind its name, as in `pebs.period`. A knob of a source that was not chosen has
 * no effect.
 */
import { assert } from '../base/assert.ts';
import {
  integerKnob,
  type Knob,
  type KnobValues,
  type NumberKnob,
  numberKnob,
  numberOf,
  oneOfKnob,
} from './knob.ts';

export type HeatSource = 'none' | HeatSourceName;
export type HeatSourceName =
  | 'pebs'
  | 'ibs'
  | 'hint-faults'
  | 'idle-bits'
  | 'page-idle'
  | 'kpageflags'
  | 'cxl'
  | 'damon-vaddr'
  | 'damon-paddr'
  | 'mglru';

export interface HeatSourceDescription {
  readonly name: HeatSourceName;
  /** One line for help and reports. */
  readonly summary: string;
  /** What it reports pages by: a process's page numbers, or page frame numbers (HS-99). */
  readonly addresses: 'virtual' | 'physical';
  readonly knobs: readonly NumberKnob[];
  /**
   * Knobs that are its own clock, in ms, with the part of the interval that each gets: whoever
   * compares sources sets all to one interval. [] = it samples continuously.
   */
  readonly clock: readonly (readonly [knob: string, part: number])[];
}

/** The part of a policy's needs that is about its source. */
export interface HeatNeeds {
  readonly heat: HeatSourceName;
  readonly heatKnobs: Readonly<Record<string, number>>;
}

/** HS-70. */
const DAMON_KNOBS: readonly NumberKnob[] = [
  numberKnob('sample', 5, 0.001, 60_000, 'ms', 'between two looks at a page of each region'),
  numberKnob('aggregation', 100, 0.001, 600_000, 'ms', 'after which regions are judged'),
  numberKnob('update', 60_000, 0.001, 6e6, 'ms', 'between two looks at what is mapped'),
  integerKnob('minRegions', 10, 3, 1e5, 'regions', 'at least, in a context'),
  integerKnob('maxRegions', 1000, 3, 1e6, 'regions', 'at most, in a context'),
  numberKnob('checkNs', -1, -1, 1e6, 'ns', 'a place looked at; -1 = scanFolioNs of the machine'),
];

const DAMON_CLOCK = [
  ['sample', 1 / 20],
  ['aggregation', 1],
  ['update', 1],
] as const;

/** What a decoder interleaves by. HS-40. */
const HDM_WAYS = [1, 2, 3, 4, 6, 8, 12, 16];

/** `first`, its double and so on, up to `last`. */
function doublings(first: number, last: number): number[] {
  const values: number[] = [];
  for (let value = first; value <= last; value *= 2) values.push(value);
  return values;
}

const PREFETCH_AFTER = integerKnob(
  'prefetchAfter',
  0,
  0,
  1000,
  'accesses',
  'of a run on one page, after which lines are prefetched and not seen; 0 = no prefetcher',
);

export const HEAT_SOURCES: readonly HeatSourceDescription[] = [
  {
    name: 'pebs',
    summary: 'PEBS: every P-th access of a CPU leaves a record',
    addresses: 'virtual',
    clock: [],
    knobs: [
      numberKnob('period', 5000, 1, 1e9, 'accesses', 'mean accesses from sample to sample'),
      integerKnob('bufferRecords', 2048, 1, 1 << 20, 'records', 'that the buffer of a CPU holds'),
      numberKnob('drainInterval', 1, 0.001, 10_000, 'ms', 'time between two drains'),
      numberKnob('programNs', -1, -1, 1e6, 'ns', 'cost of a record; -1 = sampleNs of the machine'),
      numberKnob('drainNs', 50, 0, 1e6, 'ns', 'time of the draining thread, a record (assumption)'),
      integerKnob('skid', 0, 0, 1000, 'accesses', 'that the recorded one comes later; 0 = precise'),
      PREFETCH_AFTER,
      integerKnob('physicalAddress', 0, 0, 1, '', '1 = records name frames instead of pages'),
    ],
  },
  {
    name: 'ibs',
    summary: 'IBS: one op in so many is tagged; misses tell their physical address',
    addresses: 'physical',
    clock: [],
    knobs: [
      numberKnob('maxCount', 10_000, 1, 2 ** 27, 'ops', 'from tag to tag (assumption)'),
      integerKnob('l3MissOnly', 1, 0, 1, '', '1 = only misses interrupt (from Zen 4 on)'),
      integerKnob('bufferRecords', 2048, 1, 1 << 20, 'records', 'that the buffer of a CPU holds'),
      numberKnob('drainInterval', 1, 0.001, 10_000, 'ms', 'time between two drains'),
      numberKnob('programNs', 1000, 0, 1e6, 'ns', 'cost of an interrupt (assumption)'),
      numberKnob('drainNs', 50, 0, 1e6, 'ns', 'time of the reading thread, a record (assumption)'),
      PREFETCH_AFTER,
      integerKnob('physicalAddress', 1, 0, 1, '', '0 = records name pages instead of frames'),
    ],
  },
  {
    name: 'hint-faults',
    summary: 'NUMA hint faults: the kernel takes access rights away, the next access faults',
    addresses: 'virtual',
    clock: [
      ['scanDelay', 1],
      ['scanPeriod', 1],
    ],
    knobs: [
      numberKnob('scanDelay', 1000, 0, 60_000, 'ms', 'age of a program at its first scan'),
      numberKnob('scanPeriod', 1000, 1, 60_000, 'ms', 'time between two scans'),
      numberKnob('scanSize', 256, 1, 1 << 20, 'MiB', 'memory marked in one scan'),
    ],
  },
  {
    name: 'idle-bits',
    summary: 'accessed bits, seen and cleared in a walk over the page tables',
    addresses: 'virtual',
    clock: [['interval', 1]],
    knobs: [
      numberKnob('interval', 100, 0.001, 1e6, 'ms', 'time between two walks'),
      numberKnob('pageNs', -1, -1, 1e6, 'ns', 'cost of a page; -1 = scanFolioNs of the machine'),
    ],
  },
  {
    name: 'page-idle',
    summary: '/sys/kernel/mm/page_idle/bitmap, set and read for all frames',
    addresses: 'physical',
    clock: [['interval', 1]],
    knobs: [
      numberKnob('interval', 100, 0.001, 1e6, 'ms', 'time between two sweeps'),
      numberKnob('pageNs', -1, -1, 1e6, 'ns', 'an rmap walk; -1 = scanFolioNs of the machine'),
    ],
  },
  {
    name: 'kpageflags',
    summary: '/proc/kpageflags: REFERENCED and ACTIVE folios',
    addresses: 'physical',
    clock: [['interval', 1]],
    knobs: [
      numberKnob('interval', 100, 0.001, 1e6, 'ms', 'time between two looks'),
      numberKnob('frameNs', 10, 0, 1e6, 'ns', "a frame's word (assumption)"),
    ],
  },
  {
    name: 'cxl',
    summary: 'CHMU: CXL devices count accesses to their units and list the hot ones',
    addresses: 'physical',
    clock: [['epoch', 1]],
    knobs: [
      oneOfKnob('unit', 4096, doublings(256, 2 ** 28), 'bytes', 'counted as one'),
      numberKnob('epoch', 100, 0.1, 4e6, 'ms', 'after which lists are read'),
      integerKnob('threshold', 16, 1, 2 ** 32 - 1, 'accesses', 'of a hot unit in an epoch'),
      integerKnob('hotlist', 8192, 2, 65535, 'entries', "of a device's list, one stays empty"),
      integerKnob('counterWidth', 16, 1, 32, 'bits', 'at which counters saturate'),
      integerKnob('downsample', 0, 0, 15, '', 'log2: one access in so many counts'),
      integerKnob('alwaysOn', 0, 0, 1, '', '1 = a unit is listed when it reaches the threshold'),
      integerKnob('kinds', 3, 1, 3, '', '1 reads, 2 writes, 3 both'),
      oneOfKnob('ways', 1, HDM_WAYS, 'devices', 'interleaved behind each node'),
      oneOfKnob('granularity', 256, doublings(256, 16384), 'bytes', 'of the interleave'),
      integerKnob('xor', 0, 0, 1, '', '1 = XOR arithmetic instead of modulo'),
      numberKnob('entryNs', 500, 0, 1e6, 'ns', 'an entry read (assumption: uncached reads)'),
    ],
  },
  {
    name: 'damon-vaddr',
    summary: "DAMON on each process's address space: regions with accesses",
    addresses: 'virtual',
    clock: DAMON_CLOCK,
    knobs: DAMON_KNOBS,
  },
  {
    name: 'damon-paddr',
    summary: 'DAMON on physical memory: regions with accesses',
    addresses: 'physical',
    clock: DAMON_CLOCK,
    knobs: DAMON_KNOBS,
  },
  {
    name: 'mglru',
    summary: 'ages of the multi-generational LRU: folios of the two youngest generations',
    addresses: 'physical',
    clock: [['interval', 1]],
    knobs: [
      numberKnob('interval', 100, 0.001, 1e6, 'ms', 'time between two new generations'),
      numberKnob('pteNs', -1, -1, 1e6, 'ns', 'an entry walked; -1 = scanPteNs of the machine'),
      numberKnob('frameNs', 10, 0, 1e6, 'ns', "a folio's age (assumption)"),
    ],
  },
];

/** Knobs that make a source look every `ms`; none for those that sample continuously. */
export function clockKnobs(
  { clock, knobs }: HeatSourceDescription,
  ms: number,
): Readonly<Record<string, number>> {
  const values: Record<string, number> = {};
  for (const [name, part] of clock) {
    const knob = knobs.find((candidate) => candidate.name === name);
    assert(knob !== undefined, `no knob ${name}`);
    values[name] = Math.min(knob.max, Math.max(knob.min, ms * part));
  }
  return values;
}

/** Preconditions: there is one of that name (asserted). */
export function heatSource(name: string): HeatSourceDescription {
  const source = HEAT_SOURCES.find((candidate) => candidate.name === name);
  assert(source !== undefined, `no heat source ${name}`);
  return source;
}

/**
 * `source` and the knobs of all sources, those left out that the policy sets by knobs of its own:
 * `own` are their names without the source's. `addresses`: only sources that report so.
 */
export function heatSourceKnobs(
  initial: HeatSourceName,
  own: readonly string[],
  addresses: HeatSourceDescription['addresses'] | 'any' = 'any',
): Knob[] {
  const sources = HEAT_SOURCES.filter((source) => {
    return addresses === 'any' || source.addresses === addresses;
  });
  const choice: Knob = {
    kind: 'choice',
    name: 'source',
    default: initial,
    choices: sources.map(({ name }) => name),
    doc: 'heat source; hetmem heat --list has the knobs of each',
  };
  const knobs = sources.flatMap(({ name, knobs }) => {
    const left = knobs.filter((knob) => !own.includes(knob.name));
    return left.map((knob) => ({ ...knob, name: `${name}.${knob.name}` }));
  });
  return [choice, ...knobs];
}

/** What a policy needs of the source that was chosen; `own` as its own knobs set it. */
export function heatNeeds(values: KnobValues, own: Readonly<Record<string, number>>): HeatNeeds {
  const { name, knobs } = heatSource(values.source as string);
  const heatKnobs: Record<string, number> = {};
  for (const knob of knobs) {
    heatKnobs[knob.name] = own[knob.name] ?? numberOf(values, `${name}.${knob.name}`);
  }
  return { heat: name, heatKnobs };
}

/**
 * Kernel settings without which a source sees nothing. Hint faults: mode 3 marks pages of all
 * nodes; a rate limit of 0 keeps the kernel from promoting what it is only to look at, but where a
 * fast node has much free memory (TI-24).
 */
export function heatSettings(needs: HeatNeeds): Readonly<Record<string, number | boolean>> {
  if (needs.heat !== 'hint-faults') return {};
  const knobs = needs.heatKnobs;
  return {
    numa_balancing: 3,
    numa_balancing_promote_rate_limit_MBps: 0,
    numa_balancing_scan_delay_ms: knobs.scanDelay,
    numa_balancing_scan_period_min_ms: knobs.scanPeriod,
    numa_balancing_scan_period_max_ms: knobs.scanPeriod,
    numa_balancing_scan_size_mb: knobs.scanSize,
  };
}
