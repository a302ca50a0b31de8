/**
 * O_DIRECT: blocks go between a file's store and user pages, which are pinned for short while the
 * device works (fs/iomap/direct-io.c: iomap_dio_rw; block/bio.c: bio_iov_iter_get_pages,
 * bio_set_pages_dirty, bio_release_pages). PM-22, PM-98, OV-42.
 *
 * A transfer begins with its pins and ends when whoever owns time calls `complete`, at `endNs` or
 * later; between the two the program runs on, and may unmap or fork.
 * Order: pins -> the range leaves the page cache -> device -> pages dirty -> unpin.
 * Not modelled: blocks smaller than a page, splitting into several bios, buffered fallback.
 */
import { type FrameId, type Nanoseconds, PAGE_SIZE } from '../base/units.ts';
import {
  closeHolder,
  type Kernel,
  type MappedFile,
  openHolder,
  type PageHolder,
  pagesToStore,
  pinUserPagesFast,
  prepareDirectIo,
  setFolioDirty,
  storeToPages,
  type Task,
  unpinUserPages,
} from '../mm/index.ts';
import { EINVAL } from '../uapi/errno.ts';
import { FOLL_WRITE } from '../uapi/gup.ts';
import { isPageAligned, pageOf } from './addressRange.ts';

export class DirectIo {
  /** Bytes that are transferred; less than asked for where the memory ends. */
  readonly bytes: number;
  readonly endNs: Nanoseconds;
  /** Pinned until complete. */
  readonly pages: readonly FrameId[];
  private readonly k: Kernel;
  private readonly finish: () => void;
  private readonly holder: PageHolder;
  private isDone = false;

  constructor(
    k: Kernel,
    caller: Task,
    pages: readonly FrameId[],
    endNs: Nanoseconds,
    finish: () => void,
  ) {
    this.k = k;
    const of = { kind: 'direct I/O', name: `until ${endNs} ns`, isPin: true };
    this.holder = openHolder(k, of, caller.tgid);
    for (const page of pages) this.holder.pages.push(page);
    this.pages = pages;
    this.bytes = pages.length * PAGE_SIZE;
    this.endNs = endNs;
    this.finish = finish;
  }

  /** The device is done (bio_endio): data is where it belongs, pins are gone. Once. */
  complete(): void {
    if (this.isDone) return;
    this.isDone = true;
    this.finish();
    unpinUserPages(this.k, this.pages);
    closeHolder(this.k, this.holder);
  }
}

/**
 * pread(2) (`isRead`) or pwrite(2) on a file opened O_DIRECT. -EINVAL: not page aligned, or a file
 * system without direct I/O; -EFAULT, -ENOMEM: not one page could be pinned.
 */
export function directIo(
  k: Kernel,
  caller: Task,
  file: MappedFile,
  offset: number,
  addr: number,
  len: number,
  isRead: boolean,
  endNs: Nanoseconds,
): DirectIo | number {
  const aligned = isPageAligned(offset) && isPageAligned(addr) && isPageAligned(len);
  if (!aligned || len <= 0 || !file.traits.writeback) return -EINVAL;
  const index = offset / PAGE_SIZE;
  const nr = len / PAGE_SIZE;
  const pages: FrameId[] = [];
  const flags = isRead ? FOLL_WRITE : 0;
  const pinned = pinUserPagesFast(k, caller, pageOf(addr), nr, flags, pages);
  if (pinned <= 0) return pinned;
  prepareDirectIo(k, file, index, pinned, isRead);
  return new DirectIo(k, caller, pages, endNs, () => {
    if (isRead) {
      storeToPages(k, file, index, pages);
      for (const page of pages) setFolioDirty(k, k.frames.headOf(page));
    } else pagesToStore(k, file, index, pages);
  });
}
