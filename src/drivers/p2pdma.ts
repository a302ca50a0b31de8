/**
 * A provider of memory in a PCI BAR for DMA between devices (drivers/pci/p2pdma.c): its pages are
 * handed to programs by mmap, and other devices reach them without a detour over system memory, if
 * the bus between lets them (dmaRoute.ts). DM-90, PM-4.
 *
 * What the mapping of a page loses it never gets back: there is no fault to bring it (SIGBUS).
 *
 * Not modelled: access control services of switches; uncached mappings.
 */
import type { FrameId, Nid, Pfn, Vpn } from '../base/units.ts';
import {
  type DevPagemap,
  type DevPagemapOps,
  type Kernel,
  type MappedFile,
  MEMORY_DEVICE_PCI_P2PDMA,
  memremapPages,
  memunmapPages,
  PG_LOCKED,
  type Task,
  truncateFile,
  zoneDevicePageInit,
} from '../mm/index.ts';
import { EBUSY, EINVAL, ENODEV, ENOMEM } from '../uapi/errno.ts';
import { MAP_SHARED } from '../uapi/mman.ts';
import type { PciPlace } from './dmaRoute.ts';
import { mapInserted } from './insertedPages.ts';

export class P2pProvider implements DevPagemapOps {
  readonly k: Kernel;
  readonly place: PciPlace;
  /** From probe on. */
  pagemap!: DevPagemap;
  /** The genalloc pool. */
  readonly free: FrameId[] = [];
  /** Pages in use -> the mapping they were made for. */
  readonly lent: Map<FrameId, MappedFile> = new Map();
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
    this.lent.delete(head);
    this.free.push(head);
  }

  /**
   * p2pmem_alloc_mmap: a shared mapping of fresh pages, all of them at once. First page number, or
   * -EINVAL (private, or an offset), -ENODEV (gone), -ENOMEM (the pool is too small).
   */
  mmap(task: Task, pages: number, prot: number, flags: number, pgoff: number): Vpn {
    if ((flags & MAP_SHARED) === 0 || pgoff !== 0) return -EINVAL;
    if (this.isGone) return -ENODEV;
    if (pages > this.free.length) return -ENOMEM;
    const area = { name: 'p2pmem/allocate', pages, prot, flags };
    return mapInserted(this.k, task, area, (file, index) => this.#take(file, index));
  }

  #take(file: MappedFile, index: number): FrameId {
    const { k } = this;
    const page = this.free.pop()!;
    zoneDevicePageInit(k, page, 0);
    k.frames.clear(page, PG_LOCKED);
    k.folios.setFileMapping(page, file.id);
    k.frames.setIndex(page, index);
    this.lent.set(page, file);
    return page;
  }

  /**
   * The device is pulled or its driver unbound: mappings lose their pages at once and are SIGBUS
   * (pci_p2pdma_unmap_mappings), and the memory goes when nobody has a page any more. 0, or -EBUSY:
   * a client still holds one (Linux waits).
   */
  remove(): number {
    this.isGone = true;
    for (const file of new Set(this.lent.values())) truncateFile(this.k, file, 0);
    if (this.k.devices.livePages(this.pagemap) > 0) return -EBUSY;
    memunmapPages(this.k, this.pagemap);
    return 0;
  }
}
