/**
 * The shape of a machine file (docs/model/machine.md): what each key is and may be. Meaning across
 * keys (overlaps, limits, who needs whom) is checked by machineCheck.ts.
 *
 * The JSON Schema for editors is made from this: docs/machine.schema.json, kept current by a test.
 */
import { z } from 'zod';
import { EXPERIMENTAL_FEATURES } from './experimental.ts';
import { DEFAULT_KERNEL, KERNEL_VERSIONS } from './kernelProfile.ts';
import { NODE_CAPABILITIES, NODE_PRESETS } from './nodeCapability.ts';
import { BANDWIDTH, DURATION, SIZE } from './quantity.ts';
import { closedObject, withRemedy } from './yamlReader.ts';

export const MACHINE_FORMAT = 'machine/1';

/** A quantity with its unit; a bare 0 needs none. */
function quantity(of: typeof SIZE, what: string, remedy: string) {
  const error = () => withRemedy(`expected a ${what}`, remedy);
  return z.union([z.string().regex(new RegExp(of.pattern), { error }), z.literal(0)], { error });
}

const size = () =>
  quantity(SIZE, 'size with its unit', `such as ${SIZE.example}; KiB, MiB, GiB, TiB count in 1024`);
const duration = () =>
  quantity(DURATION, 'time with its unit', `such as ${DURATION.example}; ns, us, ms, s`);
const bandwidth = () =>
  quantity(BANDWIDTH, 'bandwidth with its unit', `such as ${BANDWIDTH.example}; MB/s, GB/s, GiB/s`);

/** A word out of `words`, with a message that names them. */
function word<const Words extends readonly (string | number)[]>(words: Words) {
  const known = words.filter((w) => typeof w === 'string').join(', ');
  return z.literal(words, { error: () => `expected one of ${known}` });
}

const nid = () => z.int({ error: () => 'expected a node number, 0 or more' }).min(0);
const pfn = () => z.int({ error: () => 'expected a page frame number' }).min(0);
const pages = () => z.int({ error: () => 'expected a number of 4 KiB pages' }).min(0);

const latency = z.union([duration(), closedObject({ read: duration(), write: duration() })], {
  error: () => withRemedy('expected a time, or read: and write:', 'such as 80ns'),
});

const mixKey = z.string().regex(/^\d+:\d+$/, {
  error: () => withRemedy('expected a mix as READS:WRITES', 'such as 2:1'),
});

const nodeBandwidth = z.union(
  [
    bandwidth(),
    closedObject({
      read: bandwidth().describe('Sustained peak when all accesses read.'),
      write: bandwidth().optional().describe('When all write; default: as read.'),
      mix: z
        .record(mixKey, bandwidth())
        .optional()
        .describe('Measured mixes, READS:WRITES to bandwidth, such as "2:1": 25.1GB/s.'),
    }),
  ],
  { error: () => withRemedy('expected a bandwidth, or read: and write:', 'such as 38.4GB/s') },
);

const linkBandwidth = z.union(
  [bandwidth(), closedObject({ read: bandwidth(), write: bandwidth() })],
  { error: () => withRemedy('expected a bandwidth, or read: and write:', 'such as 38.4GB/s') },
);

const curvePoint = z.tuple([z.number(), z.number()], {
  error: () => withRemedy('expected [utilisation, factor]', 'such as [0.5, 1.2]'),
});

const curve = z.union([word(['queueing', 'flat']), z.array(curvePoint).min(2)], {
  error: () => withRemedy('expected queueing, flat, or points', 'such as [[0, 1], [0.9, 2.5]]'),
});

const cpus = z.union(
  [
    z.int().min(0),
    z.string().regex(/^(\d+(-\d+)?)(,\d+(-\d+)?)*$/, {
      error: () => withRemedy('expected CPU numbers', 'such as "0-15,32-47"'),
    }),
  ],
  { error: () => withRemedy('expected CPUs', 'a number of them (16) or their list ("0-15")') },
);

const zone = closedObject({
  zone: word(['DMA', 'DMA32', 'Normal', 'Movable']),
  start_pfn: pfn(),
  end_pfn: pfn().describe('Exclusive.'),
  present_pages: pages().optional().describe('Default: the whole span.'),
  managed_pages: pages().optional().describe('Default: all present pages.'),
  watermark: closedObject({ min: pages(), low: pages(), high: pages() }).optional(),
  holes: z.array(closedObject({ start_pfn: pfn(), end_pfn: pfn() })).optional(),
  cma: z.array(closedObject({ start_pfn: pfn(), pages: pages() })).optional(),
});

const node = closedObject({
  kind: word(['dram', 'cxl', 'hbm', 'pmem']),
  role: z.string().optional().describe('What it is, in words.'),
  cpus: cpus.optional().describe('Number of CPUs or their list; omitted = a CPU-less node.'),
  size: size().optional().describe('Memory; a multiple of 128MiB, or 0 for a node with CPUs only.'),
  movable: z
    .union([word(['all', 'none']), size()], {
      error: () => withRemedy('expected all, none or a size', 'such as 4GiB'),
    })
    .optional()
    .describe('How much of it is ZONE_MOVABLE (at its end). Default: none.'),
  start: size()
    .optional()
    .describe('Physical address of its memory; default: after the last node.'),
  reserved: size().optional().describe('What boot keeps (kernel image, memmap). Default: 0.'),
  zones: z.array(zone).min(1).optional().describe('Zones in full, instead of size.'),
  latency: latency
    .optional()
    .describe('Unloaded, from the closest CPUs, links that add not in it.'),
  bandwidth: nodeBandwidth.optional().describe('Sustained peak, as a benchmark measures it.'),
  curve: curve.optional().describe('Loaded latency; default: queueing.'),
  overload_loss: z
    .number()
    .min(0)
    .max(0.5)
    .optional()
    .describe('Share of the peak lost when far more is in flight than saturates. Default: 0.'),
  hotplugged: z.boolean().optional().describe('Came after boot: automatic weight 1.'),
  abstract_distance: z.int().min(1).optional().describe('Fixed by a driver (dax/kmem: 2880).'),
  capabilities: z
    .union([word(NODE_PRESETS.map((preset) => preset.name)), z.array(word(NODE_CAPABILITIES))], {
      error: () =>
        withRemedy(
          `expected ${NODE_PRESETS.map((preset) => preset.name).join(', ')}, or a list`,
          NODE_CAPABILITIES.join(', '),
        ),
    })
    .optional()
    .describe('What the kernel may do with a device memory node. Default: everything.'),
  cost_per_gib: z.number().min(0).optional().describe('Price of a GiB, in any currency.'),
});

const link = closedObject({
  name: z.string().min(1),
  from: z.array(nid()).min(1).describe('Nodes with the CPUs.'),
  to: z.array(nid()).min(1).describe('Nodes with the memory.'),
  both_ways: z.boolean().optional().describe('Also from the CPUs of `to` to memory of `from`.'),
  latency: duration().optional().describe('Added to the latency of the node. Default: 0.'),
  bandwidth: linkBandwidth.describe('A direction each.'),
  curve: curve.optional(),
});

const positiveInt = () => z.int().min(0);
export const SYSCTL_SCHEMA = closedObject({
  numa_balancing: z.int().min(0).max(3).optional(),
  numa_balancing_promote_rate_limit_MBps: positiveInt().optional(),
  numa_balancing_hot_threshold_ms: positiveInt().optional(),
  numa_balancing_scan_delay_ms: positiveInt().optional(),
  numa_balancing_scan_period_min_ms: positiveInt().optional(),
  numa_balancing_scan_period_max_ms: positiveInt().optional(),
  numa_balancing_scan_size_mb: positiveInt().optional(),
  demotion_enabled: z.boolean().optional(),
  demote_scale_factor: z
    .int()
    .min(0)
    .max(10_000)
    .optional()
    .describe("TPP's patches: 1/10000 of a fast zone kept free by demotion. 0 = without them."),
  swappiness: z.int().min(0).max(200).optional(),
  min_free_kbytes: positiveInt().optional().describe('0 = computed from lowmem.'),
  watermark_scale_factor: z.int().min(1).max(3000).optional(),
  watermark_boost_factor: positiveInt().max(2147483647).optional(),
  zone_reclaim_mode: z.int().min(0).max(7).optional(),
  thp_enabled: word(['always', 'madvise', 'never']).optional(),
  thp_defrag: word(['always', 'defer', 'defer+madvise', 'madvise', 'never']).optional(),
  shmem_thp: word(['always', 'within_size', 'advise', 'never']).optional(),
  overcommit_memory: z.int().min(0).max(2).optional(),
});

const costs = closedObject({
  migrate_call: duration().optional().describe('Per call of move_pages: lru_cache_disable.'),
  migrate_folio: duration().optional().describe('Per migrated folio: allocation, locks, switch.'),
  rmap_entry: duration().optional().describe('Per page table entry: unmap and remap.'),
  tlb_shootdown: duration().optional().describe('Per CPU interrupted by a TLB flush.'),
  copy_bandwidth: bandwidth().optional().describe('One CPU, idle local DRAM on both sides.'),
  minor_fault: duration().optional(),
  hint_fault: duration().optional(),
  clear_page: duration().optional().describe('Zeroing 4 KiB.'),
  major_fault: duration().optional().describe('Kernel part of a fault that waits for swap.'),
  scan_folio: duration().optional().describe('Reclaim: one folio.'),
  scan_pte: duration().optional().describe('NUMA balancing: one entry made PROT_NONE.'),
  sample: duration().optional().describe('Hardware sampling: one record.'),
  memory_parallelism: z.number().min(1).optional().describe('Misses a core keeps in flight.'),
  instruction: duration().optional().describe('An instruction that hits the caches.'),
});

const swap = closedObject({
  size: size(),
  read: duration().optional().describe('One 4 KiB page from the device.'),
  write: duration().optional(),
});

export const MACHINE_SCHEMA = closedObject({
  format: z.literal(MACHINE_FORMAT, {
    error: () => withRemedy('not a machine file', `it begins with format: ${MACHINE_FORMAT}`),
  }),
  name: z.string().min(1),
  description: z.string().optional(),
  sources: z.array(z.string()).optional().describe('Where the numbers come from.'),
  kernel: word([...KERNEL_VERSIONS, ...KERNEL_VERSIONS.map(Number)])
    .optional()
    .describe(`Version of Linux whose behaviour is modelled. Default: ${DEFAULT_KERNEL}.`),
  low_zones: z
    .boolean()
    .optional()
    .describe('ZONE_DMA and ZONE_DMA32 below 4 GiB on the first node, as on x86. Default: false.'),
  nodes: z.array(node).min(1),
  distances: z
    .array(z.array(z.int()))
    .optional()
    .describe('distances[a][b], local 10. Default: from the latencies.'),
  links: z.array(link).optional(),
  swap: swap.optional().describe('Omitted = no swap.'),
  sysctl: SYSCTL_SCHEMA.optional(),
  costs: costs.optional().describe('What kernel work costs; each has a default.'),
  interleave_weights: z
    .record(z.string().regex(/^\d+$/), z.int().min(1).max(255))
    .optional()
    .describe('Weighted interleave, node to weight; omitted = automatic.'),
  vdso: z.boolean().optional(),
  experimental: z
    .array(word(EXPERIMENTAL_FEATURES))
    .optional()
    .describe('Of device drivers, not in Linux; marked in every report. Default: none.'),
  physical_address_bits: z
    .int()
    .min(36)
    .max(46)
    .optional()
    .describe('Where the physical map ends. Default: 46.'),
}).describe('A machine for hetmem: nodes, links, costs and kernel settings.');

export type MachineInput = z.output<typeof MACHINE_SCHEMA>;
export type NodeInput = MachineInput['nodes'][number];
export type LinkInput = NonNullable<MachineInput['links']>[number];

/** The JSON Schema of machine files, for editors: draft 7, as the YAML language server reads it. */
export function machineJsonSchema(): object {
  const schema = z.toJSONSchema(MACHINE_SCHEMA, { io: 'input', target: 'draft-7' });
  return { title: 'hetmem machine file', ...schema };
}
