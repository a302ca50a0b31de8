/**
 * Machines of a few MiB, so that a few hundred accesses bring memory pressure: two to four nodes,
 * some of them without CPUs, some with all or part of their memory in ZONE_MOVABLE.
 */
import fc from 'fast-check';
import {
  DEFAULT_KERNEL,
  type FileKind,
  KERNEL_VERSIONS,
  Kernel,
  type KernelVersion,
  type MachineSpec,
  type PlainNode,
  plainMachine,
  ZONE_MOVABLE,
  ZONE_NORMAL,
  type ZoneType,
} from './kernelDoor.ts';

export interface MachinePlan {
  /** Pageblocks of NORMAL and of MOVABLE memory per node, and whether it has CPUs. */
  readonly nodes: readonly { normal: number; movable: number; cpus: boolean }[];
  readonly swapPages: number;
  readonly demotion: boolean;
  readonly numaBalancing: number;
  readonly seed: number;
  readonly kernel: KernelVersion;
  /** thp_enabled and the orders of mthpAlways, to begin with. */
  readonly thp: 'never' | 'madvise' | 'always';
  readonly mthp: number;
  /** Pageblocks of a CMA area at the end of node 0's NORMAL memory. */
  readonly cma: number;
  /** What Linux does not have is on, as far as devices ask for it. */
  readonly experimental: boolean;
  /** Files on a DAX device besides FILES. */
  readonly dax: boolean;
  /** Devices go before the programs that use them. */
  readonly devicesFirst: boolean;
}

/** Files that every process may map. */
export const FILES: readonly { kind: FileKind; pages: number; huge: boolean }[] = [
  { kind: 'ext4', pages: 48, huge: false },
  { kind: 'ext4', pages: 600, huge: false },
  { kind: 'tmpfs', pages: 40, huge: false },
  { kind: 'tmpfs', pages: 1024, huge: true },
  { kind: 'ramfs', pages: 16, huge: false },
];

/** Pages of the files on a DAX device: one has two aligned 2 MiB and a rest. */
export const DAX_FILES: readonly number[] = [20, 1100];

export const machineArbitrary: fc.Arbitrary<MachinePlan> = fc.record({
  nodes: fc
    .array(
      fc.record({
        normal: fc.integer({ min: 0, max: 3 }),
        movable: fc.integer({ min: 0, max: 3 }),
        cpus: fc.boolean(),
      }),
      { minLength: 1, maxLength: 3 },
    )
    .chain((rest) =>
      fc.integer({ min: 3, max: 6 }).map((normal) => {
        const others = rest.map((n) => (n.normal + n.movable === 0 ? { ...n, movable: 1 } : n));
        return [{ normal, movable: 0, cpus: true }, ...others];
      }),
    ),
  swapPages: fc.constantFrom(0, 64, 700, 4096),
  demotion: fc.boolean(),
  numaBalancing: fc.integer({ min: 0, max: 3 }),
  seed: fc.integer({ min: 0, max: 1000 }),
  kernel: fc.constantFrom(...KERNEL_VERSIONS, DEFAULT_KERNEL, DEFAULT_KERNEL),
  thp: fc.constantFrom('never', 'madvise', 'always', 'always'),
  mthp: fc.constantFrom(0, 0, 16, 260),
  cma: fc.constantFrom(0, 0, 1, 2),
  experimental: fc.boolean(),
  dax: fc.boolean(),
  devicesFirst: fc.boolean(),
});

const PAGEBLOCK = 512;
/** Room for a coherent test device, two chunks of a private one, and five of the others. */
const DEVICE_SECTIONS = 8;
/** Blocks of two pageblocks: most zones have one or two that can go offline. */
const BLOCK_PAGES = 1024;

const EXPERIMENTAL = [
  'device_dirty_pages',
  'device_merge_on_return',
  'device_page_cache',
  'device_peer_ranges',
  'device_shared_pages',
  'device_split_by_use',
] as const;

function specOf(plan: MachinePlan): MachineSpec {
  const nodes: PlainNode[] = plan.nodes.map((node, nid) => ({
    cpus: node.cpus ? [nid * 2, nid * 2 + 1] : [],
    zones: [
      { zone: ZONE_NORMAL as ZoneType, pages: node.normal * PAGEBLOCK, cma: cmaOf(plan, nid) },
      { zone: ZONE_MOVABLE as ZoneType, pages: node.movable * PAGEBLOCK },
    ].filter((zone) => zone.pages > 0),
  }));
  const distance = nodes.map((_, a) =>
    nodes.map((_node, b) => (a === b ? 10 : 10 + 10 * Math.abs(a - b))),
  );
  const spec = plainMachine(nodes, {
    distance,
    sysctl: {
      demotion_enabled: plan.demotion,
      numa_balancing: plan.numaBalancing,
      numa_balancing_scan_delay_ms: 0,
      thp_enabled: plan.thp,
      thp_defrag: 'always',
    },
    startPfn: 32768,
  });
  return {
    ...spec,
    kernel: plan.kernel,
    experimental: plan.experimental ? EXPERIMENTAL : [],
    nodes: spec.nodes.map((node) =>
      node.cpus.length > 0 ? node : { ...node, abstractDistance: 2880 },
    ),
    memoryBlockPages: BLOCK_PAGES,
    swap: { pages: plan.swapPages, readNs: 1000, writeNs: 1000 },
  };
}

function cmaOf(
  { nodes, cma }: MachinePlan,
  nid: number,
): NonNullable<PlainNode['zones'][0]['cma']> {
  if (nid !== 0 || cma === 0) return [];
  return [{ at: (nodes[0].normal - cma) * PAGEBLOCK, pages: cma * PAGEBLOCK }];
}

/** The kernel of a plan, keeping one word of content per page. */
export function bootKernel(plan: MachinePlan): Kernel {
  const options = { seed: plan.seed, trackContent: true, deviceSections: DEVICE_SECTIONS };
  const k = new Kernel(specOf(plan), options);
  k.sysctl.mthpAlways = plan.mthp;
  return k;
}
