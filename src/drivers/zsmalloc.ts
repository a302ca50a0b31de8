/**
 * zsmalloc: compressed objects packed into zspages, chains of single pages (mm/zsmalloc.c). MC-75.
 *
 * An object is named by a handle, never by its address, so the allocator may migrate the page under
 * it and rewrite the handle's record. A zspage is of one size class; it has as many pages as waste
 * least memory. A reader of an object holds its zspage; migration then gives up at once with
 * -EINVAL (6.12 and 6.1: -EAGAIN).
 *
 * Not modelled: fullness groups, zs_compact, merged size classes; an object's bytes (a page has one
 * content word).
 */
import { assert } from '../base/assert.ts';
import { type FrameId, type Nid, PAGE_SIZE } from '../base/units.ts';
import {
  allocPages,
  copyHighpage,
  type Kernel,
  type MovableOperations,
  PGTY_ZSMALLOC,
  setPageType,
} from '../mm/index.ts';
import { EAGAIN, EINVAL, ENOMEM } from '../uapi/errno.ts';
import { __GFP_HIGHMEM, __GFP_MOVABLE, GFP_KERNEL } from '../uapi/gfp.ts';
import { NR_ZSPAGES } from '../uapi/vmstat.ts';

/** Size classes are this many bytes apart (ZS_SIZE_CLASS_DELTA), from ZS_MIN_ALLOC_SIZE. */
const CLASS_DELTA = PAGE_SIZE >> 8;
const SIZE_MIN = 32;
/** CONFIG_ZSMALLOC_CHAIN_SIZE. */
const ZSMALLOC_CHAIN_SIZE = 8;

interface Zspage {
  readonly sizeBytes: number;
  readonly chain: FrameId[];
  /** By object index: its handle, or 0 = free. */
  readonly handles: Int32Array;
  inUse: number;
  /** Objects that are being read or written now (zspage_read_lock). */
  readers: number;
}

interface ObjectRecord {
  readonly zspage: Zspage;
  readonly index: number;
}

export class ZsPool implements MovableOperations {
  private readonly k: Kernel;
  /** By size class: zspages with a free object. */
  private readonly partial: Map<number, Set<Zspage>> = new Map();
  private readonly zspageOf: Map<FrameId, Zspage> = new Map();
  private readonly objects: Map<number, ObjectRecord> = new Map();
  private nextHandle = 1;

  constructor(k: Kernel) {
    this.k = k;
    const result = k.movableOps.set(PGTY_ZSMALLOC, this);
    assert(result === 0, 'one driver has the pages of type zsmalloc');
  }

  /** Pages of the pool: NR_ZSPAGES is the sum of all pools. */
  get nrPages(): number {
    return this.zspageOf.size;
  }

  /** zs_malloc: a handle > 0, -EINVAL for a size that no class has, -ENOMEM. */
  malloc(sizeBytes: number, nid: Nid): number {
    if (sizeBytes <= 0 || sizeBytes > PAGE_SIZE) return -EINVAL;
    const rounded = Math.ceil(Math.max(sizeBytes, SIZE_MIN) / CLASS_DELTA) * CLASS_DELTA;
    const partial = this.partialOf(rounded);
    const [first] = partial;
    const zspage = first ?? this.newZspage(rounded, nid);
    if (zspage === null) return -ENOMEM;
    const handle = this.nextHandle++;
    const index = zspage.handles.indexOf(0);
    zspage.handles[index] = handle;
    zspage.inUse++;
    if (zspage.inUse === zspage.handles.length) partial.delete(zspage);
    else partial.add(zspage);
    this.objects.set(handle, { zspage, index });
    return handle;
  }

  /** zs_free: the last object of a zspage takes the zspage with it. */
  free(handle: number): void {
    const { zspage, index } = this.object(handle);
    this.objects.delete(handle);
    zspage.handles[index] = 0;
    const partial = this.partialOf(zspage.sizeBytes);
    partial.add(zspage);
    if (--zspage.inUse > 0) return;
    partial.delete(zspage);
    for (const page of zspage.chain) this.dropPage(page);
  }

  /** zs_obj_read_begin: the page that the object begins in; it stays there until the end. */
  readBegin(handle: number): FrameId {
    const { zspage, index } = this.object(handle);
    zspage.readers++;
    return zspage.chain[Math.floor((index * zspage.sizeBytes) / PAGE_SIZE)];
  }

  /** zs_obj_read_end. */
  readEnd(handle: number): void {
    const { zspage } = this.object(handle);
    assert(zspage.readers > 0, 'an object was read before its reading ends');
    zspage.readers--;
  }

  /** zs_page_isolate: a live page can always be had. */
  isolatePage(page: FrameId): boolean {
    return this.zspageOf.has(page);
  }

  /** zs_page_migrate. */
  migratePage(dst: FrameId, src: FrameId): number {
    const k = this.k;
    const zspage = this.zspageOf.get(src);
    // Freed between isolation and now: the source goes with its last reference.
    if (zspage === undefined) return 0;
    if (zspage.readers > 0) return k.profile.busyZspageIsFinal ? -EINVAL : -EAGAIN;
    copyHighpage(k, dst, src);
    k.folios.get(dst);
    setPageType(k, dst, PGTY_ZSMALLOC, true);
    // Handles name an object of the zspage, so that the chain's new page is all they need.
    zspage.chain[zspage.chain.indexOf(src)] = dst;
    this.zspageOf.set(dst, zspage);
    k.vmstat.modZone(k.pm.zoneOf(dst).id, NR_ZSPAGES, 1);
    this.dropPage(src);
    return 0;
  }

  /** zs_page_putback: there is nothing to undo. */
  putbackPage(_page: FrameId): void {}

  private object(handle: number): ObjectRecord {
    const found = this.objects.get(handle);
    assert(found !== undefined, 'a handle names an object', handle);
    return found as ObjectRecord;
  }

  private partialOf(sizeBytes: number): Set<Zspage> {
    let partial = this.partial.get(sizeBytes);
    if (partial === undefined) {
      partial = new Set();
      this.partial.set(sizeBytes, partial);
    }
    return partial;
  }

  private newZspage(sizeBytes: number, nid: Nid): Zspage | null {
    const k = this.k;
    const nr = chainLength(sizeBytes);
    const objects = Math.floor((nr * PAGE_SIZE) / sizeBytes);
    const handles = new Int32Array(objects);
    const zspage: Zspage = { sizeBytes, chain: [], handles, inUse: 0, readers: 0 };
    for (let n = 0; n < nr; n++) {
      const gfp = GFP_KERNEL | __GFP_HIGHMEM | __GFP_MOVABLE;
      const page = allocPages(k.pm, 0, gfp, nid, -1);
      if (page < 0) {
        for (const got of zspage.chain) this.dropPage(got);
        return null;
      }
      setPageType(k, page, PGTY_ZSMALLOC, true);
      zspage.chain.push(page);
      this.zspageOf.set(page, zspage);
      k.vmstat.modZone(k.pm.zoneOf(page).id, NR_ZSPAGES, 1);
    }
    return zspage;
  }

  private dropPage(page: FrameId): void {
    const k = this.k;
    this.zspageOf.delete(page);
    k.vmstat.modZone(k.pm.zoneOf(page).id, NR_ZSPAGES, -1);
    k.putFolio(page);
  }
}

/** calculate_zspage_chain_size: the number of pages that wastes least, the smallest of equals. */
function chainLength(sizeBytes: number): number {
  let best = 1;
  for (let nr = 2; nr <= ZSMALLOC_CHAIN_SIZE; nr++) {
    if ((nr * PAGE_SIZE) % sizeBytes < (best * PAGE_SIZE) % sizeBytes) best = nr;
  }
  return best;
}
