/**
 * Device memory with page structs: ZONE_DEVICE (mm/memremap.c, include/linux/memremap.h).
 * DM-50..DM-54, DM-110.
 *
 * A driver registers a range of physical addresses as a DevPagemap. Its pages are never in the
 * buddy allocator nor on an LRU list: they belong to the driver, which hands them out with
 * zoneDevicePageInit and gets them back through its folioFree operation when the last reference
 * goes.
 *
 * Deviates: reference counts are zero-based in every kernel profile. Up to 6.14 a free page counted
 * 1; pageCount adds that one where it can be seen.
 * Deviates: ranges are whole sections (128 MiB) and aligned to them; Linux wants 2 MiB.
 * Not modelled: altmaps, devmap page table bits, memory cgroups.
 */
import { assert } from '../base/assert.ts';
import {
  type FrameId,
  type Nid,
  type Order,
  PAGE_SHIFT,
  PAGEBLOCK_ORDER,
  PAGES_PER_SECTION,
  type Pfn,
} from '../base/units.ts';
import { EINVAL, ENOMEM, ENXIO } from '../uapi/errno.ts';
import {
  PG_ACTIVE,
  PG_HEAD,
  PG_LOCKED,
  PG_REFERENCED,
  PG_TAIL,
  PG_UPTODATE,
} from './frameTable.ts';
import type { Kernel } from './kernel.ts';
import { DEVICE_ZONE, NO_ZONE } from './pageblock.ts';
import type { Task } from './task.ts';
import type { Vma } from './vma.ts';

/** enum memory_type. */
export const MEMORY_DEVICE_PRIVATE = 1;
export const MEMORY_DEVICE_COHERENT = 2;
export const MEMORY_DEVICE_FS_DAX = 3;
export const MEMORY_DEVICE_GENERIC = 4;
export const MEMORY_DEVICE_PCI_P2PDMA = 5;
export type MemoryType = 1 | 2 | 3 | 4 | 5;

export const MEMORY_TYPE_NAMES = [
  '',
  'private',
  'coherent',
  'fs-dax',
  'generic',
  'p2pdma',
] as const;

/** A CPU fault on a device-private entry (struct vm_fault, as far as drivers look at it). */
export interface DeviceFault {
  readonly task: Task;
  readonly vma: Vma;
  readonly vpn: number;
  readonly isWrite: boolean;
  /** The page the entry leads to: locked, with a reference held for the call. */
  page: FrameId;
  /** The entry is a PMD (DM-42). */
  readonly isHuge: boolean;
}

/** struct dev_pagemap_ops. */
export interface DevPagemapOps {
  /** The last reference of a folio of the driver is gone (page_free up to 6.18, DM-51). */
  folioFree(head: FrameId, order: Order): void;
  /** Brings the page of a CPU fault back to system memory; FAULT_* bits (DM-41). Private only. */
  migrateToRam?(fault: DeviceFault): number;
  /**
   * Experimental (devicePageCache.ts): a CPU looked a page of the page cache up that is here; the
   * driver brings it to system memory; FAULT_* bits.
   */
  pageCacheLookup?(task: Task, page: FrameId): number;
  /** Experimental (DM-92): other devices may use private pages where they are (get_dma_pfn). */
  isReachableByPeers?(): boolean;
  /** Experimental: a dirty page of the page cache that is here is about to be written back. */
  pageCacheWriteback?(head: FrameId): void;
  /** A folio was split: called for each new one, then with -1 (6.19, DM-51). */
  folioSplit?(original: FrameId, created: FrameId): void;
}

/** One registered range. */
export interface DevPagemap {
  readonly type: MemoryType;
  /** Whoever may select these pages for migration: compared, never looked into (DM-22, DM-13). */
  readonly owner: object | null;
  readonly nid: Nid;
  readonly startPfn: Pfn;
  /** Frame of the first page; the others follow. */
  readonly start: FrameId;
  readonly nrPages: number;
  readonly ops: DevPagemapOps;
}

/** What a driver asks for. */
export interface PagemapRequest {
  readonly type: MemoryType;
  readonly owner: object | null;
  readonly nid: Nid;
  /** -1: a free range near the end of the physical map (request_free_mem_region, DM-80). */
  readonly startPfn: Pfn;
  readonly nrPages: number;
  readonly ops: DevPagemapOps;
}

/** Pages that 46 bits of physical address can name. */
const PHYSMEM_PAGES_MAX = 2 ** 34;

/** First PFN of private memory that is in no physical map. */
export const OFFSET_SPACE_PFN = PHYSMEM_PAGES_MAX;

/** All device memory of a machine. */
export class DeviceMemory {
  /** Frame section -> its pagemap. */
  #bySection: Map<number, DevPagemap> = new Map();
  readonly pagemaps: Set<DevPagemap> = new Set();
  /** Folios with a reference, by pagemap: their pages (percpu_ref of the pagemap, DM-53). */
  #live: Map<DevPagemap, number> = new Map();
  /** Start of what a driver may be given of it: below, everything is taken. */
  physPagesMin = 0;
  /** End of the physical map, in pages; what lies behind has no page structs (DM-80). */
  physPagesMax = PHYSMEM_PAGES_MAX;

  /** Private fields, for saved states (src/state). */
  static privateFields(devices: DeviceMemory): object {
    return {
      get bySection() {
        return devices.#bySection;
      },
      set bySection(value) {
        devices.#bySection = value;
      },
      get live() {
        return devices.#live;
      },
      set live(value) {
        devices.#live = value;
      },
    };
  }

  /** page_pgmap. Preconditions: the frame is device memory. */
  pagemapOf(frame: FrameId): DevPagemap {
    const pagemap = this.#bySection.get(Math.floor(frame / PAGES_PER_SECTION));
    assert(pagemap !== undefined, 'a frame of no device', frame);
    return pagemap;
  }

  /** The CPU has so many bits of physical address. */
  limitPhysicalMap(addressBits: number): void {
    let pages = 1;
    for (let bit = PAGE_SHIFT; bit < addressBits; bit++) pages *= 2;
    this.physPagesMax = pages;
  }

  livePages(pagemap: DevPagemap): number {
    return this.#live.get(pagemap) ?? 0;
  }

  countLive(pagemap: DevPagemap, delta: number): void {
    this.#live.set(pagemap, this.livePages(pagemap) + delta);
  }

  add(pagemap: DevPagemap): void {
    this.pagemaps.add(pagemap);
    this.#live.set(pagemap, 0);
    const first = pagemap.start / PAGES_PER_SECTION;
    const sections = pagemap.nrPages / PAGES_PER_SECTION;
    for (let i = 0; i < sections; i++) this.#bySection.set(first + i, pagemap);
  }

  remove(pagemap: DevPagemap): void {
    this.pagemaps.delete(pagemap);
    this.#live.delete(pagemap);
    const first = pagemap.start / PAGES_PER_SECTION;
    const sections = pagemap.nrPages / PAGES_PER_SECTION;
    for (let i = 0; i < sections; i++) this.#bySection.delete(first + i);
  }
}

/**
 * memremap_pages: the range gets page structs. Returns the pagemap, or -EINVAL (missing operations
 * or owner, DM-52), -ENXIO (overlaps system memory), -ENOMEM (overlaps another device, or no room).
 */
export function memremapPages(k: Kernel, request: PagemapRequest): DevPagemap | number {
  const { type, ops, owner, nid, nrPages } = request;
  if (type === MEMORY_DEVICE_PRIVATE && ops.migrateToRam === undefined) return -EINVAL;
  const isOwned = type === MEMORY_DEVICE_PRIVATE || type === MEMORY_DEVICE_COHERENT;
  if (isOwned && owner === null) return -EINVAL;
  if (nrPages <= 0 || nrPages % PAGES_PER_SECTION !== 0) return -EINVAL;
  if (nid < 0 || k.pm.nodes[nid]?.online !== true) return -EINVAL;
  const isOutside = type === MEMORY_DEVICE_PRIVATE && k.hasExperimental('device_offset_space');
  const startPfn = isOutside ? nextOffset(k) : placeInMap(k, request);
  if (startPfn < 0) return startPfn;
  if (startPfn % PAGES_PER_SECTION !== 0) return -EINVAL;
  if (overlapsSystemMemory(k, startPfn, nrPages)) return -ENXIO;
  const start = k.frames.addSections(startPfn / PAGES_PER_SECTION, nrPages / PAGES_PER_SECTION);
  if (start < 0) return -ENOMEM;
  const { blocks } = k.pm;
  const firstBlock = start >>> PAGEBLOCK_ORDER;
  const lastBlock = (start + nrPages) >>> PAGEBLOCK_ORDER;
  blocks.zoneOfBlock.fill(DEVICE_ZONE, firstBlock, lastBlock);
  blocks.nidOfBlock.fill(nid, firstBlock, lastBlock);
  const pagemap = { type, owner, nid, startPfn, start, nrPages, ops };
  k.devices.add(pagemap);
  if (type === MEMORY_DEVICE_GENERIC) {
    k.frames.refcount.fill(1, start, start + nrPages);
    k.frames.flags.fill(PG_UPTODATE, start, start + nrPages);
  }
  return pagemap;
}

/** Where the range lies in the physical map, or -ENOMEM: behind its end, or no room. */
function placeInMap(k: Kernel, { startPfn, nrPages }: PagemapRequest): number {
  const start = startPfn < 0 ? requestFreeMemRegion(k, nrPages) : startPfn;
  return start < 0 || start + nrPages > k.devices.physPagesMax ? -ENOMEM : start;
}

/**
 * Experimental (DM-80, DM-81): the next free offset of private memory's own space. It is numbered
 * from behind the largest physical map, so no PFN of one is a PFN of the other.
 */
function nextOffset(k: Kernel): Pfn {
  let next = OFFSET_SPACE_PFN;
  for (const { startPfn, nrPages } of k.devices.pagemaps) next = Math.max(next, startPfn + nrPages);
  return next;
}

/** The highest free aligned range of the physical map, or -1. */
function requestFreeMemRegion(k: Kernel, nrPages: number): Pfn {
  const end = Math.floor(k.devices.physPagesMax / PAGES_PER_SECTION) * PAGES_PER_SECTION;
  const taken = [...k.devices.pagemaps].map(({ startPfn, nrPages: n }) => [startPfn, startPfn + n]);
  for (const zone of k.pm.zones) taken.push([zone.startPfn, zone.endPfn]);
  let start = end - nrPages;
  while (start >= k.devices.physPagesMin) {
    const hit = taken.find(([from, to]) => from < start + nrPages && start < to);
    if (hit === undefined) return start;
    start = Math.floor((hit[0] - nrPages) / PAGES_PER_SECTION) * PAGES_PER_SECTION;
  }
  return -1;
}

/** Sections with page structs of the system's are memory, holes between them are not. */
function overlapsSystemMemory(k: Kernel, startPfn: Pfn, nrPages: number): boolean {
  for (let pfn = startPfn; pfn < startPfn + nrPages; pfn += PAGES_PER_SECTION) {
    const frame = k.frames.frameOfPfn(pfn);
    if (frame >= 0 && !k.pm.isZoneDevice(frame)) return true;
  }
  return false;
}

/**
 * memunmap_pages: the page structs go. Linux waits until all pages are free (DM-53).
 * Preconditions: they are; the driver evicts first (migrate_device_range).
 */
export function memunmapPages(k: Kernel, pagemap: DevPagemap): void {
  assert(k.devices.livePages(pagemap) === 0, 'device memory goes while it is in use');
  if (pagemap.type === MEMORY_DEVICE_GENERIC) forgetGenericPages(k, pagemap);
  k.frames.flags.fill(0, pagemap.start, pagemap.start + pagemap.nrPages); // poisoned ones have any
  const { blocks } = k.pm;
  const firstBlock = pagemap.start >>> PAGEBLOCK_ORDER;
  const lastBlock = (pagemap.start + pagemap.nrPages) >>> PAGEBLOCK_ORDER;
  blocks.zoneOfBlock.fill(NO_ZONE, firstBlock, lastBlock);
  blocks.nidOfBlock.fill(NO_ZONE, firstBlock, lastBlock);
  k.devices.remove(pagemap);
  const sections = pagemap.nrPages / PAGES_PER_SECTION;
  k.frames.removeSections(pagemap.startPfn / PAGES_PER_SECTION, sections);
}

/** Their one reference goes with the page structs. */
function forgetGenericPages(k: Kernel, { start, nrPages }: DevPagemap): void {
  const f = k.frames;
  for (let page = start; page < start + nrPages; page++) {
    assert(f.refcount[page] === 1, 'a generic device page goes while it is in use', page);
    f.refcount[page] = 0;
    k.folios.clearMapping(page);
    f.setIndex(page, 0);
  }
}

/**
 * zone_device_page_init: a free page of the driver, or 2^order from there on, becomes a folio with
 * one reference, locked. Its content is what the device holds there.
 */
export function zoneDevicePageInit(k: Kernel, head: FrameId, order: Order): void {
  const f = k.frames;
  assert(f.refcount[head] === 0, 'a device page is handed out twice, frame', head);
  const pagemap = k.devices.pagemapOf(head);
  f.flags[head] = PG_LOCKED | PG_UPTODATE;
  f.refcount[head] = 1;
  f.lastCpupid[head] = 0xffff;
  if (order > 0) {
    f.flags[head] |= PG_HEAD;
    f.setOrder(head, order);
    for (let page = head + 1; page < head + (1 << order); page++) {
      f.flags[page] = PG_TAIL;
      f.mapping[page] = head;
    }
    k.folios.initLarge(head, true);
  }
  for (let page = head; page < head + (1 << order); page++) f.bumpGeneration(page);
  k.devices.countLive(pagemap, 1 << order);
}

/** free_zone_device_folio: the last reference is gone; the page is the driver's again (DM-50). */
export function freeZoneDeviceFolio(k: Kernel, head: FrameId): void {
  const f = k.frames;
  assert(k.folios.mapcount(head) === 0, 'device folio freed while mapped', head);
  const pagemap = k.devices.pagemapOf(head);
  if (pagemap.type === MEMORY_DEVICE_GENERIC) {
    f.refcount[head] = 1; // handed out again at once (DM-50)
    return;
  }
  if (pagemap.type === MEMORY_DEVICE_FS_DAX) {
    // The page is the file's as before; who waits for it to be idle is woken (DM-50).
    f.flags[head] &= ~(PG_REFERENCED | PG_ACTIVE); // of GUP; they mean nothing off the LRU
    pagemap.ops.folioFree(head, 0);
    return;
  }
  const order = k.folios.isLarge(head) ? f.orderOf(head) : 0;
  if (order > 0) {
    f.refcount[head + 1] = 0;
    f.private_[head + 1] = 0;
    f.indexLow[head + 1] = 0;
    f.lruNext[head + 1] = 0;
    f.lruPrev[head + 1] = 0;
  }
  for (let page = head; page < head + (1 << order); page++) {
    f.flags[page] = 0;
    f.mapping[page] = 0;
    f.orderIndexHigh[page] = 0;
    f.indexLow[page] = 0;
    f.private_[page] = 0;
    f.bumpGeneration(page);
  }
  k.devices.countLive(pagemap, -(1 << order));
  pagemap.ops.folioFree(head, order);
}

/** is_device_private_page. */
export function isDevicePrivate(k: Kernel, page: FrameId): boolean {
  return k.pm.isZoneDevice(page) && k.devices.pagemapOf(page).type === MEMORY_DEVICE_PRIVATE;
}

/** is_device_coherent_page. */
export function isDeviceCoherent(k: Kernel, page: FrameId): boolean {
  return k.pm.isZoneDevice(page) && k.devices.pagemapOf(page).type === MEMORY_DEVICE_COHERENT;
}

/** folio_is_fsdax. */
export function isFsDax(k: Kernel, page: FrameId): boolean {
  return k.pm.isZoneDevice(page) && k.devices.pagemapOf(page).type === MEMORY_DEVICE_FS_DAX;
}

/** Pages of a DAX device or file: dirtying them does nothing (noop_dirty_folio). */
export function isDaxMemory(k: Kernel, page: FrameId): boolean {
  if (!k.pm.isZoneDevice(page)) return false;
  const { type } = k.devices.pagemapOf(page);
  return type === MEMORY_DEVICE_FS_DAX || type === MEMORY_DEVICE_GENERIC;
}

/** is_pci_p2pdma_page. */
export function isPciP2pdma(k: Kernel, page: FrameId): boolean {
  return k.pm.isZoneDevice(page) && k.devices.pagemapOf(page).type === MEMORY_DEVICE_PCI_P2PDMA;
}

/** page_count: up to 6.14 device pages count one more than their users (DM-50). */
export function pageCount(k: Kernel, head: FrameId): number {
  const isOneBased = !k.profile.deviceRefsFromZero;
  if (!isOneBased || !k.pm.isZoneDevice(head)) return k.frames.refcount[head];
  const isGeneric = k.devices.pagemapOf(head).type === MEMORY_DEVICE_GENERIC;
  return k.frames.refcount[head] + (isGeneric ? 0 : 1);
}

/** copy_highpage, as far as content is tracked. */
export function copyPages(k: Kernel, to: FrameId, from: FrameId, nr: number): void {
  k.frames.content?.copyWithin(to, from, from + nr);
}

/** clear_highpage. */
export function clearPages(k: Kernel, page: FrameId, nr: number): void {
  k.frames.content?.fill(0, page, page + nr);
}

/** What a device reads from a page: its content word, 0 if content is not tracked. */
export function devicePageLoad(k: Kernel, page: FrameId): number {
  return k.frames.content === null ? 0 : k.frames.content[page];
}

/** What a device writes to a page. */
export function devicePageStore(k: Kernel, page: FrameId, word: number): void {
  if (k.frames.content !== null) k.frames.content[page] = word;
}
