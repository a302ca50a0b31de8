/**
 * /proc/kpageflags and /proc/kpagecount (fs/proc/page.c: kpage_read). HS-11..HS-16.
 *
 * One word a PFN up to the last PFN, rounded up to a section. Only root may open them.
 * How we model it: flags are mm's kernelPageFlags; what stands where no page is, is this file's.
 * Deviates: kpagecgroup has the root for every charged page; there are no other memory control
 *   groups.
 */
import { type FrameId, PAGEBLOCK_ORDER, PAGES_PER_SECTION, type Pfn } from '../base/units.ts';
import { DEVICE_ZONE, type Kernel, kernelPageFlags, type Task } from '../mm/index.ts';
import { EACCES } from '../uapi/errno.ts';
import { KPF_NOPAGE, KPF_RESERVED } from '../uapi/kernelPageFlags.ts';
import { readWords, type Words, wordOf, wordRange } from './wordFile.ts';

/** An open kpageflags, kpagecount or kpagecgroup. */
export class KpageFile {
  readonly #k: Kernel;
  readonly #wordAt: (k: Kernel, pfn: Pfn) => number;

  constructor(k: Kernel, wordAt: (k: Kernel, pfn: Pfn) => number) {
    this.#k = k;
    this.#wordAt = wordAt;
  }

  /**
   * The words of `length` bytes from `offset`, 8 bytes a PFN; none past the end. Errors: -EINVAL
   * unless both are multiples of 8 (HS-11).
   */
  read(offset: number, length: number): Words | number {
    return readWords(wordRange(offset, length, maxDumpPfn(this.#k)), (pfn) =>
      wordOf(this.#wordAt(this.#k, pfn)),
    );
  }
}

/** Mode 0400: -EACCES for anybody but root (HS-11). */
export function openKpageflags(k: Kernel, opener: Task): KpageFile | number {
  return opener.euid === 0 ? new KpageFile(k, kpageflagsOf) : -EACCES;
}

/** Mode 0400: -EACCES for anybody but root (HS-11). */
export function openKpagecount(k: Kernel, opener: Task): KpageFile | number {
  return opener.euid === 0 ? new KpageFile(k, kpagecountOf) : -EACCES;
}

/** Mode 0400: -EACCES for anybody but root (HS-11). */
export function openKpagecgroup(k: Kernel, opener: Task): KpageFile | number {
  return opener.euid === 0 ? new KpageFile(k, kpagecgroupOf) : -EACCES;
}

/** One past the last PFN. */
export function maxPfn(k: Kernel): Pfn {
  return k.pm.memoryBlocks.maxPfn;
}

/** get_max_dump_pfn: the memmap of the last section is whole. */
export function maxDumpPfn(k: Kernel): Pfn {
  return Math.ceil(maxPfn(k) / PAGES_PER_SECTION) * PAGES_PER_SECTION;
}

/** The frame of a PFN that is backed by memory, or -1. */
export function presentFrame(k: Kernel, pfn: Pfn): FrameId {
  const frame = k.frames.frameOfPfn(pfn);
  return frame >= 0 && k.pm.isPresent(frame) ? frame : -1;
}

/** A hole inside a zone's pageblock has a struct page all the same (init_unavailable_range). */
function hasMemmap(k: Kernel, pfn: Pfn): boolean {
  const frame = k.frames.frameOfPfn(pfn);
  return frame >= 0 && k.pm.blocks.zoneOfBlock[frame >>> PAGEBLOCK_ORDER] < DEVICE_ZONE;
}

/** Sum of 2 ** KPF_* of a PFN. HS-15: where no page is, 0, or NOPAGE on kernels up to 6.12. */
export function kpageflagsOf(k: Kernel, pfn: Pfn): number {
  const frame = presentFrame(k, pfn);
  if (frame < 0 && hasMemmap(k, pfn)) return 2 ** KPF_RESERVED;
  if (frame < 0) {
    return k.profile.kpageflagsOfHolesIsNopage ? 2 ** KPF_NOPAGE : 0;
  }
  return kernelPageFlags(k, frame);
}

/** Mappings of exactly this page; 0 for free, kernel and zero pages and holes. HS-12. */
export function kpagecountOf(k: Kernel, pfn: Pfn): number {
  const frame = presentFrame(k, pfn);
  if (frame < 0 || frame === k.zeroFrame || k.pm.isReserved(frame)) return 0;
  if (k.frames.headOf(frame) === k.hugeZeroHead) return 0;
  return Math.max(k.folios.pageMapcount(frame), 0);
}

/** Inode of the root of the cgroup2 file system. */
const ROOT_CGROUP_INO = 1;

/**
 * page_cgroup_ino: the memory control group that the page is charged to. Memory of programs and
 * files is charged, hugetlb and the kernel's own is not; 0 where nothing is.
 */
export function kpagecgroupOf(k: Kernel, pfn: Pfn): number {
  const frame = presentFrame(k, pfn);
  if (frame < 0 || k.pm.isReserved(frame)) return 0;
  const head = k.frames.headOf(frame);
  if (k.frames.refcount[head] <= 0 || k.folios.isHugetlb(head)) return 0;
  return k.folios.isAnon(head) || k.folios.hasFileMapping(head) ? ROOT_CGROUP_INO : 0;
}
