/**
 * A migration to or from device memory in progress: its slots (include/linux/migrate.h: struct
 * migrate_vma, mpfn words). DM-20, DM-21.
 *
 * A slot is an mpfn word of Linux in two columns, frame and bits.
 */
import type { FrameId, Vpn } from '../base/units.ts';
import type { Kernel } from './kernel.ts';
import type { Task } from './task.ts';
import type { Vma } from './vma.ts';

export const MIGRATE_PFN_VALID = 1;
export const MIGRATE_PFN_MIGRATE = 2;
export const MIGRATE_PFN_WRITE = 8;
export const MIGRATE_PFN_COMPOUND = 16;

/** What migrateVmaSetup collects (DM-21). COMPOUND from 6.19. */
export const MIGRATE_VMA_SELECT_SYSTEM = 1;
export const MIGRATE_VMA_SELECT_DEVICE_PRIVATE = 2;
export const MIGRATE_VMA_SELECT_DEVICE_COHERENT = 4;
export const MIGRATE_VMA_SELECT_COMPOUND = 8;
/** Not of Linux: only pages with an entry of their own, as hmm_migrate of 2016 (hmmMigrate.ts). */
export const MIGRATE_VMA_SELECT_ENTRIES = 16;

/** One migration in progress (struct migrate_vma); without a VMA that of a range of frames. */
export class DeviceMigration {
  /** The task on whose behalf: its CPU's batches, its policy. */
  readonly task: Task;
  readonly vma: Vma | null;
  readonly start: Vpn;
  readonly end: Vpn;
  readonly owner: object | null;
  /** MIGRATE_VMA_SELECT_*. */
  readonly select: number;
  /**
   * The page of the CPU fault this is for, -1 = none: the fault has it locked, with a reference.
   */
  readonly faultPage: FrameId;
  /** Slot -> source frame, -1 = none; and MIGRATE_PFN_* of it. */
  readonly src: Int32Array;
  readonly srcBits: Uint8Array;
  /** Slot -> destination, filled by the driver: locked, with one reference. */
  readonly dst: Int32Array;
  readonly dstBits: Uint8Array;
  /** Slots that were collected. */
  cpages = 0;
  npages = 0;

  constructor(
    task: Task,
    vma: Vma | null,
    start: Vpn,
    end: Vpn,
    owner: object | null,
    select: number,
    faultPage: FrameId = -1,
  ) {
    this.task = task;
    this.vma = vma;
    this.start = start;
    this.end = end;
    this.owner = owner;
    this.select = select;
    this.faultPage = faultPage;
    const n = Math.max(0, end - start);
    this.src = new Int32Array(n).fill(-1);
    this.srcBits = new Uint8Array(n);
    this.dst = new Int32Array(n).fill(-1);
    this.dstBits = new Uint8Array(n);
  }

  /** The driver must copy this slot and give it a destination, or refuse by giving none (DM-28). */
  wants(slot: number): boolean {
    return (this.srcBits[slot] & MIGRATE_PFN_MIGRATE) !== 0;
  }

  isCompound(slot: number): boolean {
    return (this.srcBits[slot] & MIGRATE_PFN_COMPOUND) !== 0;
  }

  /** The folio of the CPU fault this is for: the fault holds its lock and a reference (DM-25). */
  isFaultFolio(k: Kernel, head: FrameId): boolean {
    return this.faultPage >= 0 && k.frames.headOf(this.faultPage) === head;
  }

  /** The driver takes a destination back: the slot is refused. */
  clearDestination(slot: number): void {
    this.dst[slot] = -1;
    this.dstBits[slot] = 0;
  }

  /** The destination of a slot, writable if the source was; a large one takes the place of 512. */
  setDestination(slot: number, head: FrameId, isCompound: boolean): void {
    const write = this.srcBits[slot] & MIGRATE_PFN_WRITE;
    this.dst[slot] = head;
    this.dstBits[slot] = MIGRATE_PFN_VALID | write | (isCompound ? MIGRATE_PFN_COMPOUND : 0);
  }
}

/** Large folios stay whole on their way (DM-24). */
export function migratesCompound(k: Kernel): boolean {
  return k.profile.largeDeviceFolios;
}
