/**
 * What a device with memory of its own costs: its faults, the work of migrating pages to it and
 * back, its copy engine, its link and its memory.
 *
 * Real thing: a GPU fault of Intel Xe's shared virtual memory on 2 MiB, in parts, once with 512
 * pages and once with one large folio (dri-devel msg582687). How we model it: every part is a sum
 * of what a fault costs once and what each piece (folio) of it costs; two measurements give both.
 *   migrate, without the copy   512 pieces 719 us, 1 piece 22 us   -> 20.6 us + 1364 ns a piece
 *   copy                        223 us, 106 us  -> 229 ns a piece, 19.8 bytes a nanosecond
 * So these two rows are met by construction and are no test of the model; other sizes and other
 * directions are.
 * Units: nanoseconds, bytes per nanosecond (= GB/s).
 */
import { HPAGE_PMD_NR, type Nanoseconds, type Nid, PAGE_SIZE } from '../base/units.ts';

/** One row of the measurement; `pieces` folios make up 2 MiB. */
export interface PublishedDeviceFault {
  readonly pieces: number;
  readonly pagefaultNs: Nanoseconds;
  readonly migrateNs: Nanoseconds;
  readonly copyNs: Nanoseconds;
  readonly getPagesNs: Nanoseconds;
  readonly bindNs: Nanoseconds;
}

/** Intel Xe SVM, 2 MiB, before and after large device folios: dri-devel msg582687. */
export const PUBLISHED_DEVICE_FAULTS: readonly [PublishedDeviceFault, PublishedDeviceFault] = [
  {
    pieces: HPAGE_PMD_NR,
    pagefaultNs: 966_000,
    migrateNs: 942_000,
    copyNs: 223_000,
    getPagesNs: 9_000,
    bindNs: 10_000,
  },
  {
    pieces: 1,
    pagefaultNs: 132_000,
    migrateNs: 128_000,
    copyNs: 106_000,
    getPagesNs: 1_000,
    bindNs: 2_000,
  },
];

/** A cost that has a part for the whole and a part for each piece. */
export interface PiecewiseCost {
  readonly fixedNs: Nanoseconds;
  readonly pieceNs: Nanoseconds;
}

export interface DeviceCostSpec {
  /** Device fault: interrupt, look-up, and the answer to the device. */
  readonly fault: PiecewiseCost;
  /** migrate_vma_setup to _finalize without the copy. */
  readonly migrate: PiecewiseCost;
  /** hmm_range_fault. */
  readonly getPages: PiecewiseCost;
  /** Writing the device's page table. */
  readonly bind: PiecewiseCost;
  /** Copy engine: setting up a contiguous piece. */
  readonly copyPieceNs: Nanoseconds;
  /** The link, a direction each; the copy engine runs at its speed. */
  readonly linkBandwidth: number;
  /** One access of the device over the link to system memory, or of a CPU to its memory. */
  readonly linkLatencyNs: Nanoseconds;
  /** One access of the device to its own memory. */
  readonly localLatencyNs: Nanoseconds;
  readonly localBandwidth: number;
  /** Bytes that one access moves. */
  readonly accessBytes: number;
  /** Accesses that the device keeps in flight. */
  readonly parallelism: number;
}

/** The cost whose values at both published rows are those of `part`. */
function fromRows(part: (row: PublishedDeviceFault) => Nanoseconds): PiecewiseCost {
  const [many, one] = PUBLISHED_DEVICE_FAULTS;
  const pieceNs = (part(many) - part(one)) / (many.pieces - one.pieces);
  return { fixedNs: part(one) - pieceNs * one.pieces, pieceNs };
}

const COPY = fromRows((row) => row.copyNs);

export const DEVICE_COST_DEFAULTS: DeviceCostSpec = {
  fault: fromRows((row) => row.pagefaultNs - row.migrateNs - row.getPagesNs - row.bindNs),
  migrate: fromRows((row) => row.migrateNs - row.copyNs),
  getPages: fromRows((row) => row.getPagesNs),
  bind: fromRows((row) => row.bindNs),
  copyPieceNs: COPY.pieceNs,
  linkBandwidth: (HPAGE_PMD_NR * PAGE_SIZE) / COPY.fixedNs,
  /** Assumption: a read over PCIe takes about a microsecond; 1 to 2 us are usual. */
  linkLatencyNs: 1_000,
  /** Assumption: device memory as GPUs have it. */
  localLatencyNs: 400,
  /** GTX 1080, pages prefetched: 242.3 GB/s of memory on the device (CUDA UM). */
  localBandwidth: 242.3,
  /** Assumption: a sector of 32 bytes times 4, one cache line of a GPU. */
  accessBytes: 128,
  /** Assumption: enough to hide the latency of its own memory at full bandwidth and then some. */
  parallelism: 1024,
};

/** `pieces` of one operation. */
export function piecewiseNs(cost: PiecewiseCost, pieces: number): Nanoseconds {
  return cost.fixedNs + pieces * cost.pieceNs;
}

/** Copying `bytes` in `pieces` contiguous pieces over an idle link. */
export function deviceCopyNs(cost: DeviceCostSpec, bytes: number, pieces: number): Nanoseconds {
  return pieces * cost.copyPieceNs + bytes / cost.linkBandwidth;
}

/** A fault that migrates `bytes` in `pieces` over an idle link, from interrupt to answer. */
export function deviceFaultNs(cost: DeviceCostSpec, bytes: number, pieces: number): Nanoseconds {
  let ns = deviceCopyNs(cost, bytes, pieces);
  for (const part of [cost.fault, cost.migrate, cost.getPages, cost.bind]) {
    ns += piecewiseNs(part, pieces);
  }
  return ns;
}

/** A link of a device to the memory of one node, for devices that have several (type 2). */
export interface DeviceLink {
  readonly nid: Nid;
  readonly latencyNs: Nanoseconds;
  readonly bandwidth: number;
}

/** The link over which a device reaches a node: its own, or else the one of the costs. */
export function linkTo(cost: DeviceCostSpec, links: readonly DeviceLink[], nid: Nid): DeviceLink {
  const own = links.find((link) => link.nid === nid);
  return own ?? { nid, latencyNs: cost.linkLatencyNs, bandwidth: cost.linkBandwidth };
}

/** The node that a device reaches best: least latency, then most bandwidth; -1 = all alike. */
export function nearestNode(links: readonly DeviceLink[]): Nid {
  let best: DeviceLink | null = null;
  for (const link of links) {
    const isCloser = best === null || link.latencyNs < best.latencyNs;
    const isWider = link.latencyNs === best?.latencyNs && link.bandwidth > best.bandwidth;
    if (isCloser || isWider) best = link;
  }
  return best?.nid ?? -1;
}

/** Accesses over one of several links. */
export interface LinkUse {
  readonly link: DeviceLink;
  readonly accesses: number;
}

/**
 * Accesses over several links at once that depend on nothing: the busiest link, or the latency of
 * all with as many in flight as the device can.
 */
export function deviceLinksNs(cost: DeviceCostSpec, uses: readonly LinkUse[]): Nanoseconds {
  let busiestNs = 0;
  let latencyNs = 0;
  let all = 0;
  for (const { link, accesses } of uses) {
    busiestNs = Math.max(busiestNs, (accesses * cost.accessBytes) / link.bandwidth);
    latencyNs += accesses * link.latencyNs;
    all += accesses;
  }
  if (all === 0) return 0;
  return Math.max(busiestNs, latencyNs / Math.min(all, cost.parallelism));
}

/** `accesses` of the device that depend on nothing: as many in flight as it can. */
export function deviceAccessNs(
  cost: DeviceCostSpec,
  accesses: number,
  isRemote: boolean,
): Nanoseconds {
  const latencyNs = isRemote ? cost.linkLatencyNs : cost.localLatencyNs;
  const bandwidth = isRemote ? cost.linkBandwidth : cost.localBandwidth;
  return deviceLinksNs(cost, [{ link: { nid: -1, latencyNs, bandwidth }, accesses }]);
}
