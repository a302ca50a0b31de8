/**
 * Memory blocks: the units in which memory goes offline and online, /sys/devices/system/memory/
 * memoryN (drivers/base/memory.c). OV-6, PM-74, PM-74a, PM-115.
 *
 * A block is a run of PFNs, numbered from PFN 0. It belongs to one zone, or to none if the spans of
 * several zones of its node reach into it; then it can never go offline. Present blocks only are in
 * the table; their number does not change.
 * Deviates: a machine may have blocks smaller than a section (MachineSpec.memoryBlockPages), so
 *   that tests of small machines can offline some.
 * Not modelled: memory groups, altmaps (memmap_on_memory), blocks that appear after boot.
 */
import { assert } from '../base/assert.ts';
import {
  type FrameId,
  MAX_PAGE_ORDER,
  type Nid,
  PAGE_SIZE,
  PAGES_PER_SECTION,
  type Pfn,
} from '../base/units.ts';
import type { MachineSpec } from '../hw/index.ts';
import type { FrameTable } from './frameTable.ts';
import type { Zone } from './zone.ts';

/** States of a block (MEM_*); 0 = no such block. */
export const MEM_ABSENT = 0;
export const MEM_OFFLINE = 1;
export const MEM_GOING_OFFLINE = 2;
export const MEM_ONLINE = 3;
export const MEMORY_STATE_NAMES = ['absent', 'offline', 'going-offline', 'online'] as const;

/** Bounds of probe_memory_block_size: at least a section, from 64 GiB of memory on up to 2 GiB. */
const BLOCK_BYTES_MAX = 2 ** 31;
const MEM_SIZE_FOR_LARGE_BLOCK = 2 ** 36;

const NO_NODE = -1;
const NO_ZONE_ID = -1;

/** What blocks are made of. */
interface Layout {
  readonly frames: FrameTable;
  readonly zones: readonly Zone[];
}

export class MemoryBlocks {
  /** Pages of a block: block_size_bytes / 4096. */
  readonly blockPages: number;
  /** One past the highest PFN at boot (max_pfn). */
  readonly maxPfn: Pfn;
  /** By block number: MEM_*. */
  readonly state: Uint8Array;
  /** By block number: id of its zone; -1 if it has none, or while it is offline. */
  readonly zoneId: Int16Array;
  /** By block number: node of its memory. */
  readonly nid: Int8Array;
  private readonly frames: FrameTable;

  constructor(spec: MachineSpec, layout: Layout) {
    this.frames = layout.frames;
    this.maxPfn = layout.zones.reduce((most, zone) => Math.max(most, zone.endPfn), 0);
    this.blockPages = spec.memoryBlockPages ?? probeMemoryBlockPages(this.maxPfn);
    assert(this.blockPages % (1 << MAX_PAGE_ORDER) === 0, 'memory blocks hold whole buddy blocks');
    const nrBlocks = Math.ceil(this.maxPfn / this.blockPages);
    this.state = new Uint8Array(nrBlocks);
    this.zoneId = new Int16Array(nrBlocks).fill(NO_ZONE_ID);
    this.nid = new Int8Array(nrBlocks).fill(NO_NODE);
    for (const zone of layout.zones) {
      for (const range of zone.presentRanges) this.#addBootRange(zone, range.start, range.end);
    }
    for (const block of this.numbers()) {
      this.zoneId[block] = earlyZone(layout.zones, this.nid[block], this.startPfn(block), this);
    }
  }

  #addBootRange(zone: Zone, start: FrameId, end: FrameId): void {
    const last = this.blockOfPfn(this.frames.pfnOf(end - 1));
    for (let block = this.blockOfPfn(this.frames.pfnOf(start)); block <= last; block++) {
      if (this.state[block] === MEM_ABSENT) this.nid[block] = zone.nid;
      this.state[block] = MEM_ONLINE;
    }
  }

  /** Numbers of the blocks there are, ascending. */
  numbers(): number[] {
    const numbers: number[] = [];
    this.state.forEach((state, block) => {
      if (state !== MEM_ABSENT) numbers.push(block);
    });
    return numbers;
  }

  exists(block: number): boolean {
    return block >= 0 && block < this.state.length && this.state[block] !== MEM_ABSENT;
  }

  startPfn(block: number): Pfn {
    return block * this.blockPages;
  }

  /** Block number of a PFN, whether it exists or not. */
  blockOfPfn(pfn: Pfn): number {
    return Math.floor(pfn / this.blockPages);
  }

  /** Number of the block that a frame lies in. */
  blockOf(frame: FrameId): number {
    return this.blockOfPfn(this.frames.pfnOf(frame));
  }

  /** Blocks first to last go to a state; `zoneId` -1 while they are offline. */
  setState(first: number, last: number, state: number, zoneId: number): void {
    this.state.fill(state, first, last + 1);
    this.zoneId.fill(zoneId, first, last + 1);
  }

  /** First frame of a block, -1 if it begins with a section that is not there. */
  startFrame(block: number): FrameId {
    return this.frames.frameOfPfn(this.startPfn(block));
  }
}

/** probe_memory_block_size: the largest size that the end of memory is a multiple of. In pages. */
function probeMemoryBlockPages(maxPfn: Pfn): number {
  if (maxPfn * PAGE_SIZE < MEM_SIZE_FOR_LARGE_BLOCK) return PAGES_PER_SECTION;
  let pages = BLOCK_BYTES_MAX / PAGE_SIZE;
  while (pages > PAGES_PER_SECTION && maxPfn % pages !== 0) pages /= 2;
  return pages;
}

/** early_node_zone_for_memory_block: the one zone of the node whose span reaches in, or -1. */
function earlyZone(
  zones: readonly Zone[],
  nid: Nid,
  startPfn: Pfn,
  { blockPages }: MemoryBlocks,
): number {
  let found = NO_ZONE_ID;
  for (const zone of zones) {
    if (zone.nid !== nid || !zone.isPopulated || !zone.intersects(startPfn, blockPages)) continue;
    if (found !== NO_ZONE_ID) return NO_ZONE_ID;
    found = zone.id;
  }
  return found;
}
