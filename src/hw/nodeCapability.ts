/**
 * What the kernel may do with a node's memory: one capability mask, and the four definitions of
 * a coherent device memory node as presets of it (D6, DM-100..DM-106).
 *
 * Real thing: each attempt gave its own answers to the same questions. 2016: a NUMA node marked
 * N_COHERENT_DEVICE, out of everyone's fallback list, open to explicit allocation and migration.
 * 2017: DEVICE_PUBLIC pages, in no allocator and on no LRU, moved by their driver alone. 2022:
 * DEVICE_COHERENT, the same, and long-term pins bring pages to system memory. 2026: private nodes
 * (under review), isolated unless a capability is opted in.
 * How we model it: all four are a node whose mask leaves capabilities out. A node of a machine file
 * without `capabilities` has all.
 * Deviates: pages of the 2017 and 2022 definitions are ZONE_DEVICE in Linux, and calls answer
 * -ENOENT for them; here they are pages of a node, and calls that may not move them answer -EBUSY.
 * src/drivers has the ZONE_DEVICE form (coherentAccelerator.ts).
 * Not modelled: VM_CDM and its inheritance; migrate_virtual_range (move_pages with
 * MPOL_MF_MOVE_ALL does its work); is_coherent_device in sysfs; cpusets of 2017 that leave such
 * nodes out; the opt-in interface of 2026 as calls.
 */

/** In the order of the table of docs/model/device-nodes.md. */
export const NODE_CAPABILITIES = [
  'fallback',
  'mempolicy',
  'migrate_in',
  'migrate_out',
  'reclaim',
  'demotion_target',
  'longterm_pin',
  'numa_balancing',
  'compaction',
  'ksm',
  'damon',
] as const;
export type NodeCapability = (typeof NODE_CAPABILITIES)[number];

/** What each capability lets happen. */
export const NODE_CAPABILITY_TEXTS: Readonly<Record<NodeCapability, string>> = {
  fallback: 'allocations that prefer another node may end here',
  mempolicy: 'mbind and set_mempolicy may name the node',
  migrate_in: 'move_pages and migrate_pages may move pages here',
  migrate_out: 'move_pages, migrate_pages and mbind may move pages away',
  reclaim: 'kswapd and direct reclaim work on it',
  demotion_target: 'reclaim of faster nodes demotes to it',
  longterm_pin: 'FOLL_LONGTERM pins leave its pages where they are',
  numa_balancing: 'its pages get hint faults',
  compaction: 'compaction and kcompactd work on it',
  ksm: 'its pages are merged',
  damon: 'DAMON sees its physical addresses',
};

export interface NodePreset {
  readonly name: string;
  readonly year: number;
  readonly what: string;
  readonly capabilities: readonly NodeCapability[];
}

export const NODE_PRESETS: readonly NodePreset[] = [
  {
    name: 'cdm-2016',
    year: 2016,
    what: 'N_COHERENT_DEVICE (RFC, not merged)',
    capabilities: [
      'mempolicy',
      'migrate_in',
      'migrate_out',
      'reclaim',
      'longterm_pin',
      'compaction',
    ],
  },
  {
    name: 'public-2017',
    year: 2017,
    what: 'DEVICE_PUBLIC (4.14 to 5.2)',
    capabilities: ['longterm_pin'],
  },
  { name: 'coherent-2022', year: 2022, what: 'DEVICE_COHERENT (since 6.0)', capabilities: [] },
  {
    name: 'private-2026',
    year: 2026,
    what: 'private node with migration and mempolicy opted in (under review)',
    capabilities: ['mempolicy', 'migrate_in', 'migrate_out'],
  },
];

/** The capabilities of a preset by its name, or null. */
export function presetCapabilities(name: string): readonly NodeCapability[] | null {
  return NODE_PRESETS.find((preset) => preset.name === name)?.capabilities ?? null;
}

/** For each capability the nodes that have it, bit mask by node number. */
export type NodesCapable = Readonly<Record<NodeCapability, number>>;

/** `nodes` without `capabilities` have all; numbers that are no node have all, too. */
export function nodesCapable(
  nodes: readonly { readonly nid: number; readonly capabilities?: readonly NodeCapability[] }[],
): NodesCapable {
  const masks = Object.fromEntries(NODE_CAPABILITIES.map((name) => [name, -1]));
  for (const { nid, capabilities } of nodes) {
    if (capabilities === undefined) continue;
    for (const name of NODE_CAPABILITIES) {
      if (!capabilities.includes(name)) masks[name] &= ~(1 << nid);
    }
  }
  return masks as Record<NodeCapability, number>;
}
