/**
 * What /proc/kpageflags says of a frame (fs/proc/page.c: stable_page_flags). HS-13..HS-16a.
 *
 * A word needs bits up to 36: it is a number to which 2 ** KPF_* are added.
 * Not modelled: KPF_ERROR, KPF_OWNER_PRIVATE and the arch bits, which no frame of the model has.
 */
import type { FrameId } from '../base/units.ts';
import * as KPF from '../uapi/kernelPageFlags.ts';
import * as PG from './frameTable.ts';
import type { Kernel } from './kernel.ts';

/** Flags of the folio that the kernel copies as they are. */
const COPIED: ReadonlyArray<readonly [number, number]> = [
  [PG.PG_LOCKED, KPF.KPF_LOCKED],
  [PG.PG_REFERENCED, KPF.KPF_REFERENCED],
  [PG.PG_UPTODATE, KPF.KPF_UPTODATE],
  [PG.PG_DIRTY, KPF.KPF_DIRTY],
  [PG.PG_LRU, KPF.KPF_LRU],
  [PG.PG_ACTIVE, KPF.KPF_ACTIVE],
  [PG.PG_WRITEBACK, KPF.KPF_WRITEBACK],
  [PG.PG_RECLAIM, KPF.KPF_RECLAIM],
  [PG.PG_SWAPCACHE, KPF.KPF_SWAPCACHE],
  [PG.PG_SWAPBACKED, KPF.KPF_SWAPBACKED],
  [PG.PG_UNEVICTABLE, KPF.KPF_UNEVICTABLE],
  [PG.PG_IDLE, KPF.KPF_IDLE],
  [PG.PG_RESERVED, KPF.KPF_RESERVED],
  [PG.PG_MLOCKED, KPF.KPF_MLOCKED],
  [PG.PG_ANON_EXCLUSIVE, KPF.KPF_OWNER_2],
  [PG.PG_PRIVATE, KPF.KPF_PRIVATE],
  [PG.PG_PRIVATE_2, KPF.KPF_PRIVATE_2],
];

/**
 * Sum of 2 ** KPF_*; HS-14: a tail says what its folio is, and every frame of a free block of the
 * buddy allocator is BUDDY, not those on per-CPU lists. Holes and ZONE_DEVICE: 0 (HS-15).
 */
export function kernelPageFlags(k: Kernel, page: FrameId): number {
  if (k.pm.isZoneDevice(page)) return 0;
  const { frames, folios } = k;
  if (k.pm.isFree(page)) return kpfBit(KPF.KPF_BUDDY);
  const type = frames.mapcount[page];
  if (type < 0) return typeFlags(type);
  const head = frames.headOf(page);
  if (head === k.hugeZeroHead) return compoundFlags(k, page, head) + kpfBit(KPF.KPF_ZERO_PAGE);
  const flags = frames.flags[head];
  let word = 0;
  for (const [flag, bit] of COPIED) if ((flags & flag) !== 0) word += kpfBit(bit);
  if ((frames.flags[page] & PG.PG_HWPOISON) !== 0) word += kpfBit(KPF.KPF_HWPOISON);
  if (folios.pageMapcount(page) > 0) word += kpfBit(KPF.KPF_MMAP);
  if (folios.isAnon(head)) word += kpfBit(KPF.KPF_ANON);
  const isKsm = k.profile.kpageflagsSaysKsmOfAnon ? folios.isAnon(head) : folios.isKsm(head);
  if (isKsm) word += kpfBit(KPF.KPF_KSM);
  if (folios.isLarge(head)) word += compoundFlags(k, page, head);
  if (page === k.zeroFrame) word += kpfBit(KPF.KPF_ZERO_PAGE);
  // Boot never wrote the rows of the frames that it kept.
  const isMarked = (flags & PG.PG_RESERVED) !== 0;
  if (!isMarked && k.pm.isReserved(page)) word += kpfBit(KPF.KPF_RESERVED);
  return word;
}

/** 2 to the power of a KPF_* number. */
function kpfBit(bit: number): number {
  return bit < 31 ? 1 << bit : (1 << (bit - 31)) * 0x80000000;
}

/** Whether a word of kpageflags has a KPF_* bit. */
export function hasKpf(word: number, bit: number): boolean {
  return Math.floor(word / kpfBit(bit)) % 2 === 1;
}

function compoundFlags(k: Kernel, page: FrameId, head: FrameId): number {
  const place = page === head ? KPF.KPF_COMPOUND_HEAD : KPF.KPF_COMPOUND_TAIL;
  if (k.folios.isHugetlb(head)) return kpfBit(place) + kpfBit(KPF.KPF_HUGE);
  const isThp = (k.frames.flags[head] & PG.PG_LARGE_RMAPPABLE) !== 0 || head === k.hugeZeroHead;
  return kpfBit(place) + (isThp ? kpfBit(KPF.KPF_THP) : 0);
}

function typeFlags(type: number): number {
  if (type === PG.PGTY_SLAB) return kpfBit(KPF.KPF_SLAB);
  if (type === PG.PGTY_TABLE) return kpfBit(KPF.KPF_PGTABLE);
  return type === PG.PGTY_OFFLINE ? kpfBit(KPF.KPF_OFFLINE) : 0;
}
