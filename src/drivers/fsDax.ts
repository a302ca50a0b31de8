/**
 * Persistent memory with a file system on it, mapped without a page cache (fs/dax.c,
 * drivers/nvdimm/pmem.c): the pages of a file are the device's own. DM-50, DM-52, PM-3.
 *
 * A page counts nothing while nobody maps it, one for each mapping, and more for whoever holds it:
 * truncation must wait for those (dax_layout_busy_page), which is why long-term pins are refused.
 * Deviates: where Linux waits until the page is idle, calls return -EBUSY.
 * Not modelled: mappings by 2 MiB entries, shared extents (reflink), dirty tracking; up to 6.14
 * such pages had no rmap and were in no rss.
 */
import { assert } from '../base/assert.ts';
import { type FrameId, type Nid, PAGE_SIZE, type Pfn } from '../base/units.ts';
import {
  clearPages,
  type DevPagemap,
  type DevPagemapOps,
  type Kernel,
  type MappedFile,
  MEMORY_DEVICE_FS_DAX,
  memremapPages,
  memunmapPages,
  truncateFile,
} from '../mm/index.ts';
import { EBUSY, ENOSPC } from '../uapi/errno.ts';

export class FsDax implements DevPagemapOps {
  readonly k: Kernel;
  /** From probe on. */
  pagemap!: DevPagemap;
  /** Blocks (pages) that no file has. */
  readonly freeBlocks: FrameId[] = [];
  readonly files: MappedFile[] = [];
  /** Pages that became idle; what waits in dax_layout_busy_page is woken by. */
  idleEvents = 0;

  /** A device without memory: see probe. */
  constructor(k: Kernel) {
    this.k = k;
  }

  /** 0 or the errno of memremapPages. */
  probe(nid: Nid, startPfn: Pfn, nrPages: number): number {
    const pagemap = memremapPages(this.k, {
      type: MEMORY_DEVICE_FS_DAX,
      owner: this,
      nid,
      startPfn,
      nrPages,
      ops: this,
    });
    if (typeof pagemap === 'number') return pagemap;
    this.pagemap = pagemap;
    for (let n = nrPages - 1; n >= 0; n--) this.freeBlocks.push(pagemap.start + n);
    return 0;
  }

  folioFree(): void {
    this.idleEvents++;
  }

  /** A file of zeroes, or -ENOSPC. */
  create(name: string, nrPages: number): MappedFile | number {
    if (nrPages > this.freeBlocks.length) return -ENOSPC;
    const { k } = this;
    const file = k.newFile(name, 'dax', nrPages);
    const frames = new Int32Array(nrPages);
    file.specialFrames = frames;
    for (let index = 0; index < nrPages; index++) {
      const frame = this.freeBlocks.pop()!;
      clearPages(k, frame, 1);
      k.folios.setFileMapping(frame, file.id);
      k.frames.setIndex(frame, index);
      frames[index] = frame;
    }
    this.files.push(file);
    return file;
  }

  /** dax_layout_busy_page: the first page from `index` on that somebody holds, or -1. */
  busyPage(file: MappedFile, index: number): FrameId {
    const frames = file.specialFrames!;
    for (let at = index; at < frames.length; at++) {
      const frame = frames[at];
      if (frame < 0) continue;
      if (this.k.frames.refcount[frame] > this.k.folios.mapcount(frame)) return frame;
    }
    return -1;
  }

  /** ftruncate: blocks from page `size` on are free. 0, or -EBUSY: DMA goes on in one of them. */
  truncate(file: MappedFile, size: number): number {
    if (this.busyPage(file, size) >= 0) return -EBUSY;
    truncateFile(this.k, file, size);
    const frames = file.specialFrames!;
    for (let index = size; index < frames.length; index++) {
      const frame = frames[index];
      if (frame < 0) continue;
      assert(this.k.frames.refcount[frame] === 0, 'a truncated DAX page is in use', frame);
      this.k.folios.clearMapping(frame);
      this.k.frames.setIndex(frame, 0);
      frames[index] = -1;
      this.freeBlocks.push(frame);
    }
    return 0;
  }

  /** The device goes: all files are cut to nothing. 0, or -EBUSY; accesses after it are SIGBUS. */
  remove(): number {
    for (const file of this.files) {
      const ret = this.truncate(file, 0);
      if (ret < 0) return ret;
    }
    memunmapPages(this.k, this.pagemap);
    return 0;
  }

  get freeBytes(): number {
    return this.freeBlocks.length * PAGE_SIZE;
  }
}
