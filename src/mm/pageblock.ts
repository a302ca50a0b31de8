/**
 * Pageblocks: runs of 512 frames, the grain of mobility grouping and isolation
 * (mm/page_alloc.c pageblock_flags, include/linux/pageblock-flags.h). OV-7.
 *
 * One Uint8 column per fact, indexed by frame >>> PAGEBLOCK_ORDER. Because a pageblock belongs to
 * at most one zone, the node and the zone of a frame are one load each, without a row of the
 * frame table; the replay loop reads `nidOfBlock` directly. 1 TiB has 512 Ki pageblocks: 3 MiB.
 *
 * As in Linux 6.17 and later, isolation is a bit of its own: the migratetype below it survives and
 * is in force again when isolation is undone.
 */
import { type FrameId, PAGEBLOCK_NR, PAGEBLOCK_ORDER } from '../base/units.ts';
import { MIGRATE_ISOLATE, MIGRATE_MOVABLE } from '../uapi/zone.ts';

/** zoneOfBlock and nidOfBlock of a block in which no zone has a frame. */
export const NO_ZONE = 255;
/** zoneOfBlock of device memory: no zone of the allocator has it (is_zone_device_page). */
export const DEVICE_ZONE = 254;

export class Pageblocks {
  readonly nrBlocks: number;
  /** Dense zone id, NO_ZONE in a hole, DEVICE_ZONE. Written at boot and by memremap.ts. */
  readonly zoneOfBlock: Uint8Array;
  /** Node, NO_ZONE in a hole. Written at boot and by memremap.ts. Index it with frame >>> 9. */
  readonly nidOfBlock: Uint8Array;
  /** MIGRATE_*, never MIGRATE_ISOLATE. Written by the allocator when it claims a block. */
  readonly migratetypeOfBlock: Uint8Array;
  /** 1 while isolated. Written by isolation.ts. */
  readonly isolatedBlock: Uint8Array;
  /** 1 while no frame of the block was ever allocated; its frame rows are all zero. buddy.ts. */
  readonly pristineBlock: Uint8Array;

  constructor(nrFrames: number) {
    this.nrBlocks = Math.ceil(nrFrames / PAGEBLOCK_NR);
    this.zoneOfBlock = new Uint8Array(this.nrBlocks).fill(NO_ZONE);
    this.nidOfBlock = new Uint8Array(this.nrBlocks).fill(NO_ZONE);
    this.migratetypeOfBlock = new Uint8Array(this.nrBlocks).fill(MIGRATE_MOVABLE);
    this.isolatedBlock = new Uint8Array(this.nrBlocks);
    this.pristineBlock = new Uint8Array(this.nrBlocks);
  }

  /** get_pageblock_migratetype: MIGRATE_ISOLATE while the block is isolated. */
  migratetypeOf(frame: FrameId): number {
    const block = frame >>> PAGEBLOCK_ORDER;
    return this.isolatedBlock[block] !== 0 ? MIGRATE_ISOLATE : this.migratetypeOfBlock[block];
  }

  /** Type of the pageblock, isolated or not. */
  migratetypeBelowIsolation(frame: FrameId): number {
    return this.migratetypeOfBlock[frame >>> PAGEBLOCK_ORDER];
  }

  isIsolated(frame: FrameId): boolean {
    return this.isolatedBlock[frame >>> PAGEBLOCK_ORDER] !== 0;
  }
}
