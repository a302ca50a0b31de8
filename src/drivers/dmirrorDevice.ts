/**
 * The device side of the kernel's test driver (lib/test_hmm.c): a device with memory of its own
 * that comes in chunks of 256 MiB, and what it does when the CPU wants a page back. DM-28, DM-35,
 * DM-41, DM-41a, DM-51, DM-52.
 *
 * Free pages are two lists, small ones and 2 MiB ones; a chunk that is added for a large page is
 * large pages altogether. A coherent device has one chunk at a fixed place: when its lists do not
 * hold what is asked, that allocation fails.
 *
 * Not modelled: the system pages in which the real driver keeps the data of private pages; the
 * device's own frames hold them here.
 */
import { type FrameId, HPAGE_PMD_NR, HPAGE_PMD_ORDER, type Nid, type Pfn } from '../base/units.ts';
import {
  type AddressSpace,
  type DeviceFault,
  DeviceMigration,
  type DevPagemap,
  type DevPagemapOps,
  FAULT_DONE,
  FAULT_OOM,
  FAULT_SIGBUS,
  type Kernel,
  MEMORY_DEVICE_COHERENT,
  MEMORY_DEVICE_PRIVATE,
  MIGRATE_VMA_SELECT_COMPOUND,
  MIGRATE_VMA_SELECT_DEVICE_COHERENT,
  MIGRATE_VMA_SELECT_DEVICE_PRIVATE,
  memremapPages,
  memunmapPages,
  migrateDeviceRange,
  migrateVmaFinalize,
  migrateVmaPages,
  migrateVmaSetup,
  type Task,
  zoneDevicePageInit,
} from '../mm/index.ts';
import { EBUSY } from '../uapi/errno.ts';
import { allocateSystemFolio, copyToSystem, type DeviceFolios } from './deviceCopy.ts';

/** DEVMEM_CHUNK_SIZE, in pages. */
export const DEVMEM_CHUNK_PAGES = 65536;
/** Chunks that a private device may have (DEVMEM_CHUNKS_RESERVE). */
const CHUNKS_MAX = 16;

/** Pages of a chunk from `start` to `end`. */
export interface FreshPages {
  readonly start: FrameId;
  end: FrameId;
  readonly isLarge: boolean;
}

/** What the device must tell of pages that leave it (the driver ignores its own MIGRATE, DM-4). */
export interface DeviceMirror {
  readonly mm: AddressSpace;
  forget(m: DeviceMigration): void;
}

export interface DmirrorSpec {
  readonly name: string;
  /** PFN of the one chunk of a coherent device; -1 = a private device. */
  readonly coherentPfn: Pfn;
  readonly nid: Nid;
  /** Whole sections; DEVMEM_CHUNK_PAGES if not given. */
  readonly chunkPages?: number;
}

export class DmirrorDevice implements DevPagemapOps, DeviceFolios {
  readonly name: string;
  readonly k: Kernel;
  /** PFN of the one chunk of a coherent device, -1 = private. */
  readonly coherentPfn: Pfn;
  readonly nid: Nid;
  readonly chunkPages: number;
  readonly chunks: DevPagemap[] = [];
  /** Open files of the device. */
  readonly mirrors: Set<DeviceMirror> = new Set();
  /** Pages never handed out, per chunk; taken from the end. */
  readonly fresh: FreshPages[] = [];
  /** Pages that came back; last in, first out. */
  readonly freePages: FrameId[] = [];
  readonly freeFolios: FrameId[] = [];
  /** FAIL_ALLOC: the next allocation, on the device or for a page coming back, fails (once). */
  failsNext = false;

  /** A device without memory: see probe. */
  constructor(k: Kernel, spec: DmirrorSpec) {
    this.k = k;
    this.name = spec.name;
    this.coherentPfn = spec.coherentPfn;
    this.nid = spec.nid;
    this.chunkPages = spec.chunkPages ?? DEVMEM_CHUNK_PAGES;
  }

  /** dmirror_device_init: the device with its first chunk. */
  static probe(k: Kernel, spec: DmirrorSpec): DmirrorDevice {
    const device = new DmirrorDevice(k, spec);
    device.#addChunk(false);
    return device;
  }

  get isCoherent(): boolean {
    return this.coherentPfn >= 0;
  }

  /** dmirror_select_device: which pages of a VMA are the device's. */
  get select(): number {
    return this.isCoherent ? MIGRATE_VMA_SELECT_DEVICE_COHERENT : MIGRATE_VMA_SELECT_DEVICE_PRIVATE;
  }

  /** dmirror_allocate_chunk. */
  #addChunk(isLarge: boolean): void {
    if (this.chunks.length === CHUNKS_MAX) return;
    const chunk = memremapPages(this.k, {
      type: this.isCoherent ? MEMORY_DEVICE_COHERENT : MEMORY_DEVICE_PRIVATE,
      owner: this,
      nid: this.nid,
      startPfn: this.coherentPfn,
      nrPages: this.chunkPages,
      ops: this,
    });
    if (typeof chunk === 'number') return;
    this.chunks.push(chunk);
    this.fresh.push({ start: chunk.start, end: chunk.start + this.chunkPages, isLarge });
  }

  folioFree(head: FrameId, order: number): void {
    (order === 0 ? this.freePages : this.freeFolios).push(head);
  }

  /** dmirror_devmem_alloc_page: a locked folio with one reference, or -1. */
  allocate(isLarge: boolean): FrameId {
    if (this.failsNext) {
      this.failsNext = false;
      return -1;
    }
    const freed = isLarge ? this.freeFolios : this.freePages;
    if (freed.length === 0 && this.#freshOf(isLarge) === undefined) this.#addChunk(isLarge);
    const head = freed.pop() ?? this.#takeFresh(isLarge);
    if (head < 0) return -1;
    zoneDevicePageInit(this.k, head, isLarge ? HPAGE_PMD_ORDER : 0);
    return head;
  }

  #freshOf(isLarge: boolean): FreshPages | undefined {
    return this.fresh.find((pages) => pages.isLarge === isLarge && pages.end > pages.start);
  }

  #takeFresh(isLarge: boolean): FrameId {
    const pages = this.#freshOf(isLarge);
    if (pages === undefined) return -1;
    pages.end -= isLarge ? HPAGE_PMD_NR : 1;
    return pages.end;
  }

  /** Whether a frame is this device's. */
  owns(frame: FrameId): boolean {
    return this.k.pm.isZoneDevice(frame) && this.k.devices.pagemapOf(frame).owner === this;
  }

  /** dmirror_devmem_fault: the page, or all of a huge one, comes back for a CPU (DM-62). */
  migrateToRam(fault: DeviceFault): number {
    const nr = fault.isHuge ? HPAGE_PMD_NR : 1;
    const start = fault.vpn - (fault.vpn % nr);
    const select = this.select | (fault.isHuge ? MIGRATE_VMA_SELECT_COMPOUND : 0);
    const { task, vma, page } = fault;
    const m = new DeviceMigration(task, vma, start, start + nr, this, select, page);
    if (migrateVmaSetup(this.k, m) !== 0) return FAULT_SIGBUS;
    const isGiven = copyToSystem(this.k, m, this);
    if (isGiven) {
      for (const mirror of this.mirrors) if (mirror.mm === vma.mm) mirror.forget(m);
      migrateVmaPages(this.k, m);
    }
    migrateVmaFinalize(this.k, m);
    return isGiven ? FAULT_DONE : FAULT_OOM;
  }

  /** Of pages coming back; FAIL_ALLOC holds for them, too. */
  allocateSystem(m: DeviceMigration, slot: number, order: number): FrameId {
    if (this.failsNext) {
      this.failsNext = false;
      return -1;
    }
    return allocateSystemFolio(this.k, m, slot, order);
  }

  /**
   * dmirror_device_remove_chunks: everything is evicted, then the chunks go. 0, or -EBUSY when
   * pages stay in use (Linux would wait for them).
   */
  release(task: Task): number {
    for (const chunk of [...this.chunks]) {
      this.#evict(task, chunk);
      if (this.k.devices.livePages(chunk) > 0) return -EBUSY;
      memunmapPages(this.k, chunk);
      this.chunks.splice(this.chunks.indexOf(chunk), 1);
      this.#dropFree(chunk);
    }
    return 0;
  }

  #evict(task: Task, chunk: DevPagemap): void {
    const m = migrateDeviceRange(this.k, task, chunk.start, chunk.nrPages);
    if (copyToSystem(this.k, m, this)) migrateVmaPages(this.k, m);
    migrateVmaFinalize(this.k, m);
  }

  #dropFree(chunk: DevPagemap): void {
    const others = this.fresh.filter(({ start }) => start !== chunk.start);
    this.fresh.length = 0;
    this.fresh.push(...others);
    for (const list of [this.freePages, this.freeFolios]) {
      const kept = list.filter((f) => f < chunk.start || f >= chunk.start + chunk.nrPages);
      list.length = 0;
      for (const frame of kept) list.push(frame);
    }
  }
}
