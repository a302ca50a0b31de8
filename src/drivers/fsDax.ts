/**
 * Persistent memory with a file system on it, mapped without a page cache (fs/dax.c,
 * drivers/nvdimm/pmem.c): the pages of a file are the device's own. DM-50, DM-52, PM-3.
 *
 * A page counts nothing while nobody maps it, one for each mapping, and more for whoever holds it:
 * truncation must wait for those (dax_layout_busy_page), which is why long-term pins are refused.
 * Where 2 MiB of a file are 2 MiB of the device they can be mapped by one entry (mm/daxFault.ts).
 * Deviates: where Linux waits until the page is idle, calls return -EBUSY.
 * Not modelled: shared extents (reflink), dirty tracking; up to 6.14 such pages had no rmap and
 * were in no rss.
 */
import { type FrameId, HPAGE_PMD_NR, type Nid, PAGE_SIZE, type Pfn } from '../base/units.ts';
import {
  clearPages,
  type DevPagemap,
  type DevPagemapOps,
  disassociateDaxPage,
  type Kernel,
  type MappedFile,
  MEMORY_DEVICE_FS_DAX,
  memremapPages,
  memunmapPages,
  truncateFile,
  unmapMappingPages,
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
    for (let index = 0; index < nrPages; ) {
      const huge = nrPages - index < HPAGE_PMD_NR ? -1 : this.#takeHuge();
      const nr = huge < 0 ? 1 : HPAGE_PMD_NR;
      const first = huge < 0 ? this.freeBlocks.pop()! : huge;
      clearPages(k, first, nr);
      for (let n = 0; n < nr; n++) frames[index++] = first + n;
    }
    this.files.push(file);
    return file;
  }

  /** The first page of an aligned 2 MiB of free blocks, which are free no more; -1 = none. */
  #takeHuge(): FrameId {
    const { start, nrPages } = this.pagemap;
    const freeIn = new Uint16Array(nrPages / HPAGE_PMD_NR);
    for (const block of this.freeBlocks) freeIn[Math.floor((block - start) / HPAGE_PMD_NR)]++;
    const at = freeIn.indexOf(HPAGE_PMD_NR);
    if (at < 0) return -1;
    const first = start + at * HPAGE_PMD_NR;
    const left = this.freeBlocks.filter((block) => block < first || block >= first + HPAGE_PMD_NR);
    this.freeBlocks.length = 0;
    for (const block of left) this.freeBlocks.push(block);
    return first;
  }

  /** dax_layout_busy_page: the first page that somebody holds, or -1. */
  busyPage(file: MappedFile): FrameId {
    const { frames, folios } = this.k;
    for (const frame of file.specialFrames!) {
      if (frame < 0) continue;
      const head = frames.headOf(frame);
      if (frames.refcount[head] > folios.mapcount(head)) return frame;
    }
    return -1;
  }

  /**
   * ftruncate: blocks from page `size` on are free. All of the file is unmapped first, and none of
   * it may be held, whatever is cut (ext4_break_layouts). 0, or -EBUSY: DMA goes on in it.
   */
  truncate(file: MappedFile, size: number): number {
    const { k } = this;
    unmapMappingPages(k, file, 0, Infinity);
    if (this.busyPage(file) >= 0) return -EBUSY;
    truncateFile(k, file, size);
    const frames = file.specialFrames!;
    for (let index = size; index < frames.length; index++) {
      const frame = frames[index];
      if (frame < 0) continue;
      disassociateDaxPage(k, frame);
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
