/**
 * Machines sized by what a program touches: capacity ratios, and the all-DRAM machine that
 * slowdowns are measured against.
 *
 * The real thing: papers on tiering give the program a fast memory of a fraction of its footprint
 * (by memmap=, a balloon, or cgroup limits) and as much slow memory as it likes.
 * How we model it: fast = the nodes Linux calls toptier (TI-6), slow = the others with memory. A
 * ratio a:b gives the fast nodes footprint * a / (a + b) + headroom in all, split as their sizes
 * are, and the slow nodes more than the program and the files it uses can fill. Watermarks, page
 * tables and the page cache take their part of fast memory, as they do on a real machine;
 * `headroom` gives some of it back.
 */
import { UserError } from '../base/assert.ts';
import { type Bytes, MIB, PAGE_SIZE } from '../base/units.ts';
import {
  DEFAULT_KERNEL,
  kernelProfile,
  type MachineSpec,
  memoryNids,
  nodeManagedBytes,
  toptierNodes,
  withNodeSize,
} from '../hw/index.ts';
import type { TierNodes } from '../policy/index.ts';
import { formatRatio, type Headroom, type Ratio } from './experiment.ts';
import { formatBytes } from './format.ts';

/** Below this the modelled kernel has no room for its own watermarks. */
export const FAST_BYTES_MIN: Bytes = 4 * MIB;
/** Ample memory is need * 5/4 + this. */
const AMPLE_BYTES: Bytes = 256 * MIB;

/** What a program takes of a machine at most. */
export interface MemoryNeed {
  /** Distinct pages that it touches: what ratios are about. */
  readonly footprintBytes: Bytes;
  /** Files that it reads and writes: the page cache can grow so large, beside the footprint. */
  readonly fileBytes: Bytes;
}

/** The nodes with memory, fast (toptier) and slow. */
export function tierNodes(spec: MachineSpec): TierNodes {
  const isToptier = toptierNodes(spec);
  const nids = memoryNids(spec);
  return {
    fast: nids.filter((nid) => isToptier[nid] === 1),
    slow: nids.filter((nid) => isToptier[nid] !== 1),
  };
}

/**
 * What a GiB of `nids` together costs, split over them as sizing does: the mean by their sizes; in
 * the currency of cost_per_gib, 0 = a node has no price, or there are none.
 */
export function pricePerGib(spec: MachineSpec, nids: readonly number[]): number {
  let cost = 0;
  let bytes = 0;
  for (const nid of nids) {
    const node = spec.nodes[nid]!;
    if (node.costPerGib === 0) return 0;
    cost += node.costPerGib * nodeManagedBytes(node);
    bytes += nodeManagedBytes(node);
  }
  return bytes === 0 ? 0 : cost / bytes;
}

/** Memory that the program and its files cannot fill. */
export function ampleBytes({ footprintBytes, fileBytes }: MemoryNeed): Bytes {
  return roundUpToPage((footprintBytes + fileBytes) * 1.25) + AMPLE_BYTES;
}

/** What a ratio gives to the fast nodes together. */
export function fastBytes(footprintBytes: Bytes, ratio: Ratio, headroom: Headroom): Bytes {
  const share = (footprintBytes * ratio.fast) / (ratio.fast + ratio.slow);
  return roundUpToPage(share + headroom.bytes + footprintBytes * headroom.share);
}

/** What is to be said of a machine without fast or without slow nodes. TI-2, TI-6. */
export function oneTier(spec: MachineSpec): { problem: string; remedy: string } {
  const kinds = new Set(memoryNids(spec).map((nid) => spec.nodes[nid]!.kind));
  if (kinds.size < 2) {
    return {
      problem: 'this machine has one kind of memory',
      remedy: 'take a machine with CXL memory',
    };
  }
  const kernel = spec.kernel ?? DEFAULT_KERNEL;
  const hasPerformance = kernelProfile(kernel).performanceTiers;
  return {
    problem: hasPerformance
      ? 'all nodes of this machine are in top memory tiers'
      : `Linux ${kernel} has no tiers from latency and bandwidth: all nodes are in one`,
    remedy: 'give the slow nodes abstract_distance: 2880, as dax/kmem does',
  };
}

/**
 * The machine with its memory sized by `ratio`.
 * Errors: UserError when the machine has no slow nodes, or the fast ones would be too small.
 */
export function withRatio(
  spec: MachineSpec,
  ratio: Ratio,
  headroom: Headroom,
  need: MemoryNeed,
): MachineSpec {
  const { footprintBytes } = need;
  const { fast, slow } = tierNodes(spec);
  const place = `${spec.name} ${formatRatio(ratio)}`;
  if (slow.length === 0 || fast.length === 0) {
    const { problem, remedy } = oneTier(spec);
    const ratioRemedy = `take the sizes of the machine file (--ratio none), or ${remedy}`;
    throw new UserError(place, `a ratio needs fast and slow memory: ${problem}`, ratioRemedy);
  }
  const bytes = fastBytes(footprintBytes, ratio, headroom);
  if (bytes / fast.length < FAST_BYTES_MIN) {
    throw new UserError(
      place,
      `${formatBytes(bytes)} of fast memory for a footprint of ${formatBytes(footprintBytes)} is ` +
        `less than the ${formatBytes(FAST_BYTES_MIN)} a node needs`,
      'take a workload that touches more, or add headroom',
    );
  }
  const resized = withTotal(spec, fast, bytes);
  return withTotal(resized, slow, ampleBytes(need));
}

/** The machine on which nothing has to leave fast memory: every fast node holds all of it. */
export function allFast(spec: MachineSpec, need: MemoryNeed): MachineSpec {
  const ample = ampleBytes(need);
  const { fast, slow } = tierNodes(spec);
  let resized = spec;
  for (const nid of fast) resized = withNodeSize(resized, nid, ample);
  return slow.length === 0 ? resized : withTotal(resized, slow, ample);
}

/** `nids` together get `bytes`, each in proportion to what it has. */
function withTotal(spec: MachineSpec, nids: readonly number[], bytes: Bytes): MachineSpec {
  const sizes = nids.map((nid) => nodeManagedBytes(spec.nodes[nid]!));
  const total = sizes.reduce((sum, size) => sum + size, 0);
  let left = bytes;
  let resized = spec;
  for (const [i, nid] of nids.entries()) {
    const isLast = i === nids.length - 1;
    const share = isLast ? left : roundUpToPage((bytes * sizes[i]!) / total);
    resized = withNodeSize(resized, nid, share);
    left -= share;
  }
  return resized;
}

function roundUpToPage(bytes: Bytes): Bytes {
  return Math.ceil(bytes / PAGE_SIZE) * PAGE_SIZE;
}
