/**
 * A provider of memory in a PCI BAR for DMA between devices (drivers/pci/p2pdma.c): its pages are
 * handed to programs by mmap, and other devices reach them without a detour over system memory, if
 * the bus between lets them (dmaRoute.ts). DM-90, PM-4.
 *
 * Not modelled: access control services of switches; uncached mappings.
 */
import type { FrameId, Nid, Pfn, Vpn } from '../base/units.ts';
import {
  accessPage,
  type DevPagemap,
  type DevPagemapOps,
  FAULT_ERROR,
  type Kernel,
  type MappedFile,
  MEMORY_DEVICE_PCI_P2PDMA,
  memremapPages,
  memunmapPages,
  mmapRegion,
  munmapRange,
  PG_LOCKED,
  type Task,
  zoneDevicePageInit,
} from '../mm/index.ts';
import { EBUSY, EINVAL, ENODEV, ENOMEM } from '../uapi/errno.ts';
import { MAP_SHARED } from '../uapi/mman.ts';
import type { PciPlace } from './dmaRoute.ts';

/** Page `index` of a mapping. */
interface LentPage {
  readonly file: MappedFile;
  readonly index: number;
}

export class P2pProvider implements DevPagemapOps {
  readonly k: Kernel;
  readonly place: PciPlace;
  /** From probe on. */
  pagemap!: DevPagemap;
  /** The genalloc pool. */
  readonly free: FrameId[] = [];
  readonly lent: Map<FrameId, LentPage> = new Map();
  /** The device was pulled: no new mappings. */
  isGone = false;

  /** A device without memory: see probe. */
  constructor(k: Kernel, place: PciPlace) {
    this.k = k;
    this.place = place;
  }

  /** pci_p2pdma_add_resource: 0 or the errno of memremapPages. */
  probe(nid: Nid, barPfn: Pfn, nrPages: number): number {
    const type = MEMORY_DEVICE_PCI_P2PDMA;
    const pagemap = memremapPages(this.k, {
      type,
      owner: this,
      nid,
      startPfn: barPfn,
      nrPages,
      ops: this,
    });
    if (typeof pagemap === 'number') return pagemap;
    this.pagemap = pagemap;
    for (let n = nrPages - 1; n >= 0; n--) this.free.push(pagemap.start + n);
    return 0;
  }

  /** p2pdma_page_free: back to the pool. */
  folioFree(head: FrameId): void {
    const { file, index } = this.lent.get(head)!;
    file.specialFrames![index] = -1;
    this.lent.delete(head);
    this.free.push(head);
  }

  /**
   * p2pmem_alloc_mmap: a shared mapping of fresh pages, all of them at once. First page number, or
   * -EINVAL (private, or an offset), -ENODEV (gone), -ENOMEM (the pool is too small).
   */
  mmap(task: Task, pages: number, prot: number, flags: number, pgoff: number): Vpn {
    const { k } = this;
    if ((flags & MAP_SHARED) === 0 || pgoff !== 0) return -EINVAL;
    if (this.isGone) return -ENODEV;
    if (pages > this.free.length) return -ENOMEM;
    const file = k.newFile('p2pmem/allocate', 'p2pmem', pages);
    file.specialFrames = new Int32Array(pages).fill(-1);
    const start = mmapRegion(k, task.mm!, { addr: 0, pages, prot, flags, file, pgoff });
    file.openCount = 0;
    if (start < 0) return start;
    for (let index = 0; index < pages; index++) {
      const ret = this.#insert(task, file, start, index);
      if (ret === 0) continue;
      munmapRange(k, task.mm!, start, start + pages);
      return ret;
    }
    return start;
  }

  /** vm_insert_page: the mapping holds the only reference. */
  #insert(task: Task, file: MappedFile, start: Vpn, index: number): number {
    const { k } = this;
    const page = this.free.pop()!;
    zoneDevicePageInit(k, page, 0);
    k.frames.clear(page, PG_LOCKED);
    k.folios.setFileMapping(page, file.id);
    k.frames.setIndex(page, index);
    file.specialFrames![index] = page;
    this.lent.set(page, { file, index });
    const outcome = accessPage(k, task, start + index, false);
    k.putFolio(page);
    return (outcome & FAULT_ERROR) === 0 ? 0 : -ENOMEM;
  }

  /**
   * The device is pulled or its driver unbound: mappings lose their pages at once, and the memory
   * goes when nobody has a page any more. 0, or -EBUSY: a client still holds one (Linux waits).
   */
  remove(): number {
    this.isGone = true;
    for (const file of new Set([...this.lent.values()].map((page) => page.file))) {
      for (const vma of [...file.vmas]) munmapRange(this.k, vma.mm, vma.start, vma.end);
    }
    if (this.k.devices.livePages(this.pagemap) > 0) return -EBUSY;
    memunmapPages(this.k, this.pagemap);
    return 0;
  }
}
