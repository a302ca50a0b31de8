/**
 * A memory range as a character device, /dev/dax0.0 (drivers/dax/device.c): the whole of it is one
 * mapping without a file system, as CXL memory has it before kmem makes it a node. DM-50, DM-52.
 *
 * Its pages (MEMORY_DEVICE_GENERIC) are handed out once, at probe, with a reference that they keep:
 * one that loses it gets it again. Nobody migrates them, and long-term pins are allowed.
 * Deviates: a device whose pages are held stays, -EBUSY; Linux waits for the pagemap's references.
 * Not modelled: alignments above 4 KiB, and with them mappings by 2 MiB and 1 GiB entries.
 */
import { assert } from '../base/assert.ts';
import type { FrameId, Nid, Pfn, Vpn } from '../base/units.ts';
import {
  clearPages,
  type DevPagemap,
  type DevPagemapOps,
  type Kernel,
  type MappedFile,
  MEMORY_DEVICE_GENERIC,
  memremapPages,
  memunmapPages,
  mmapRegion,
  type Task,
  truncateFile,
} from '../mm/index.ts';
import { EBUSY, EINVAL, ENXIO } from '../uapi/errno.ts';
import { MAP_SHARED } from '../uapi/mman.ts';

export class DeviceDax implements DevPagemapOps {
  readonly k: Kernel;
  /** Both from probe on. */
  pagemap!: DevPagemap;
  file!: MappedFile;
  /** kill_dev_dax: nothing is mapped any more. */
  isAlive = false;

  /** A device without memory: see probe. */
  constructor(k: Kernel) {
    this.k = k;
  }

  /** 0 or the errno of memremapPages. */
  probe(nid: Nid, startPfn: Pfn, nrPages: number): number {
    const { k } = this;
    const type = MEMORY_DEVICE_GENERIC;
    const pagemap = memremapPages(k, { type, owner: this, nid, startPfn, nrPages, ops: this });
    if (typeof pagemap === 'number') return pagemap;
    this.pagemap = pagemap;
    this.file = k.newFile('dax0.0', 'devdax', nrPages);
    const frames = new Int32Array(nrPages);
    for (let index = 0; index < nrPages; index++) {
      const frame = pagemap.start + index;
      clearPages(k, frame, 1);
      k.folios.setFileMapping(frame, this.file.id);
      k.frames.setIndex(frame, index);
      frames[index] = frame;
    }
    this.file.specialFrames = frames;
    this.isAlive = true;
    return 0;
  }

  /** Generic pages have no such callback: they get their reference back (DM-50). */
  folioFree(head: FrameId): void {
    assert(false, 'a generic device page was handed back', head);
  }

  /**
   * dax_mmap: first page number, or -ENXIO (gone), -EINVAL (private). What lies behind the end of
   * the device is SIGBUS at the access (check_vma, dax_pgoff_to_phys).
   */
  mmap(task: Task, pages: number, prot: number, flags: number, pgoff: number): Vpn {
    if (!this.isAlive) return -ENXIO;
    if ((flags & MAP_SHARED) === 0) return -EINVAL;
    const { k, file } = this;
    return mmapRegion(k, task.mm!, { addr: 0, pages, prot, flags, file, pgoff });
  }

  /** The first page that somebody holds besides its mappings, or -1. */
  get heldPage(): FrameId {
    const { start, nrPages } = this.pagemap;
    for (let frame = start; frame < start + nrPages; frame++) {
      if (this.k.frames.refcount[frame] > 1 + this.k.folios.mapcount(frame)) return frame;
    }
    return -1;
  }

  /** The device goes; accesses after it are SIGBUS. 0, or -EBUSY: call again. */
  remove(): number {
    this.isAlive = false;
    truncateFile(this.k, this.file, 0);
    if (this.heldPage >= 0) return -EBUSY;
    memunmapPages(this.k, this.pagemap);
    this.file.specialFrames = new Int32Array(0);
    return 0;
  }
}
