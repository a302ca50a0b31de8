/**
 * Device memory for tests of device migration: hands pages out and takes them back, and does
 * nothing by itself. The steps of a migration are the test's.
 */
import type { FrameId, Order, Vpn } from '../base/units.ts';
import { GFP_HIGHUSER_MOVABLE } from '../uapi/gfp.ts';
import { DeviceMigration } from './deviceMigration.ts';
import { FAULT_SIGBUS } from './fault.ts';
import { allocFolio } from './folioLifecycle.ts';
import { PG_LOCKED } from './frameTable.ts';
import type { Kernel } from './kernel.ts';
import {
  copyPages,
  type DevPagemap,
  type DevPagemapOps,
  type MemoryType,
  memremapPages,
  zoneDevicePageInit,
} from './memremap.ts';
import { migrateVmaFinalize, migrateVmaSetup } from './migrateVma.ts';
import { migrateVmaPages } from './migrateVmaPages.ts';
import type { TestProgram } from './testProgram.ts';

/** One section of device memory on node 0. */
export class TestDevice implements DevPagemapOps {
  readonly k: Kernel;
  readonly pagemap: DevPagemap;
  /** First frames of folios that came back, in order. */
  readonly freed: FrameId[] = [];
  #next: FrameId;

  constructor(k: Kernel, type: MemoryType) {
    this.k = k;
    const request = { type, owner: this, nid: 0, startPfn: -1, nrPages: 32768, ops: this };
    const pagemap = memremapPages(k, request);
    if (typeof pagemap === 'number') throw new Error(`memremap_pages returned ${pagemap}`);
    this.pagemap = pagemap;
    this.#next = pagemap.start;
  }

  folioFree(head: FrameId): void {
    this.freed.push(head);
  }

  migrateToRam(): number {
    return FAULT_SIGBUS;
  }

  /** A locked folio with one reference. */
  page(order: Order = 0): FrameId {
    const nr = 1 << order;
    const head = Math.ceil(this.#next / nr) * nr;
    this.#next = head + nr;
    zoneDevicePageInit(this.k, head, order);
    return head;
  }
}

/** A locked folio of system memory with one reference. */
export function systemPage(k: Kernel, order: Order = 0): FrameId {
  const head = allocFolio(k, order, GFP_HIGHUSER_MOVABLE, 0, -1);
  if (head < 0) throw new Error('no memory');
  k.frames.flags[head] |= PG_LOCKED;
  return head;
}

/** A migration of pages [start, start + nr) of a program that has not begun. */
export function prepared(
  p: TestProgram,
  start: Vpn,
  nr: number,
  select: number,
  owner: object | null = null,
  faultPage: FrameId = -1,
): DeviceMigration {
  const vma = p.task.mm!.findVma(start);
  return new DeviceMigration(p.task, vma, start, start + nr, owner, select, faultPage);
}

/** The same, set up. */
export function collected(...args: Parameters<typeof prepared>): DeviceMigration {
  const m = prepared(...args);
  const result = migrateVmaSetup(args[0].k, m);
  if (result !== 0) throw new Error(`migrate_vma_setup returned ${result}`);
  return m;
}

/** Gives a slot its destination, with the content of the source. */
export function give(k: Kernel, m: DeviceMigration, slot: number, dst: FrameId): void {
  const isLarge = k.folios.isLarge(dst);
  if (m.src[slot] >= 0) copyPages(k, dst, m.src[slot], k.folios.nrPages(dst));
  m.setDestination(slot, dst, isLarge);
}

/** The last two steps. Which slots moved. */
export function finish(k: Kernel, m: DeviceMigration): number[] {
  migrateVmaPages(k, m);
  const moved: number[] = [];
  for (let i = 0; i < m.npages; i++) if (m.wants(i)) moved.push(i);
  migrateVmaFinalize(k, m);
  return moved;
}

/** Moves pages to fresh ones of a device, those that can be. Which did. */
export function moveTo(
  device: TestDevice,
  p: TestProgram,
  start: Vpn,
  nr: number,
  select: number,
  order: Order = 0,
): number[] {
  const m = collected(p, start, nr, select);
  for (let i = 0; i < m.npages; i++) if (m.wants(i)) give(p.k, m, i, device.page(order));
  return finish(p.k, m);
}
