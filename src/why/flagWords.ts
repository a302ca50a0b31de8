/** Flags of a folio and types of typed frames in the words of the kernel's dump_page. */
import type { FrameId } from '../base/units.ts';
import {
  type Kernel,
  PG_ACTIVE,
  PG_ANON_EXCLUSIVE,
  PG_DIRTY,
  PG_HEAD,
  PG_HWPOISON,
  PG_IDLE,
  PG_LARGE_RMAPPABLE,
  PG_LOCKED,
  PG_LRU,
  PG_MLOCKED,
  PG_PARTIALLY_MAPPED,
  PG_PRIVATE,
  PG_PRIVATE_2,
  PG_RECLAIM,
  PG_REFERENCED,
  PG_RESERVED,
  PG_SWAPBACKED,
  PG_SWAPCACHE,
  PG_UNEVICTABLE,
  PG_UPTODATE,
  PG_WORKINGSET,
  PG_WRITEBACK,
  PG_YOUNG,
} from '../mm/index.ts';

const WORDS: ReadonlyArray<readonly [number, string]> = [
  [PG_LOCKED, 'locked'],
  [PG_WRITEBACK, 'writeback'],
  [PG_REFERENCED, 'referenced'],
  [PG_UPTODATE, 'uptodate'],
  [PG_DIRTY, 'dirty'],
  [PG_LRU, 'lru'],
  [PG_HEAD, 'head'],
  [PG_ACTIVE, 'active'],
  [PG_WORKINGSET, 'workingset'],
  [PG_RESERVED, 'reserved'],
  [PG_PRIVATE, 'private'],
  [PG_PRIVATE_2, 'private_2'],
  [PG_RECLAIM, 'reclaim'],
  [PG_SWAPBACKED, 'swapbacked'],
  [PG_UNEVICTABLE, 'unevictable'],
  [PG_MLOCKED, 'mlocked'],
  [PG_SWAPCACHE, 'swapcache'],
  [PG_ANON_EXCLUSIVE, 'anon_exclusive'],
  [PG_HWPOISON, 'hwpoison'],
  [PG_YOUNG, 'young'],
  [PG_IDLE, 'idle'],
  [PG_LARGE_RMAPPABLE, 'large_rmappable'],
  [PG_PARTIALLY_MAPPED, 'partially_mapped'],
];

/** Flags of a folio's head, in the order of the kernel's enum pageflags. */
export function flagWords(k: Kernel, head: FrameId): string[] {
  const flags = k.frames.flags[head];
  const words = WORDS.filter(([flag]) => (flags & flag) !== 0).map(([, word]) => word);
  // What boot reserved has no row of its own (physicalMemory.ts).
  return words.length === 0 && k.pm.isReserved(head) ? ['reserved'] : words;
}

/** 'anon', 'file', 'ksm', 'hugetlb' …: what kind of folio or page it is. */
export function folioKind(k: Kernel, head: FrameId): string {
  const { folios } = k;
  if (folios.isHugetlb(head)) return 'hugetlb';
  if (folios.isKsm(head)) return 'ksm';
  if (folios.isAnon(head)) return folios.isLarge(head) ? 'anon, THP' : 'anon';
  if (!folios.hasFileMapping(head)) return 'no mapping';
  const file = k.files[folios.mappingId(head)];
  return file === null ? 'file' : `page cache of ${file.kind}`;
}
