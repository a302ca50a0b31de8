/** include/uapi/linux/kernel-page-flags.h: bit numbers of /proc/kpageflags. HS-13. */

export const KPF_LOCKED = 0;
export const KPF_REFERENCED = 2;
export const KPF_UPTODATE = 3;
export const KPF_DIRTY = 4;
export const KPF_LRU = 5;
export const KPF_ACTIVE = 6;
export const KPF_SLAB = 7;
export const KPF_WRITEBACK = 8;
export const KPF_RECLAIM = 9;
export const KPF_BUDDY = 10;
export const KPF_MMAP = 11;
export const KPF_ANON = 12;
export const KPF_SWAPCACHE = 13;
export const KPF_SWAPBACKED = 14;
export const KPF_COMPOUND_HEAD = 15;
export const KPF_COMPOUND_TAIL = 16;
export const KPF_HUGE = 17;
export const KPF_UNEVICTABLE = 18;
export const KPF_HWPOISON = 19;
export const KPF_NOPAGE = 20;
export const KPF_KSM = 21;
export const KPF_THP = 22;
export const KPF_OFFLINE = 23;
export const KPF_ZERO_PAGE = 24;
export const KPF_IDLE = 25;
export const KPF_PGTABLE = 26;

/** For kernel developers: may change from version to version. */
export const KPF_RESERVED = 32;
export const KPF_MLOCKED = 33;
export const KPF_OWNER_2 = 34;
export const KPF_PRIVATE = 35;
export const KPF_PRIVATE_2 = 36;

/** The bits that the model sets, by name. */
export const KPF_NAMES: ReadonlyMap<number, string> = new Map([
  [KPF_LOCKED, 'LOCKED'],
  [KPF_REFERENCED, 'REFERENCED'],
  [KPF_UPTODATE, 'UPTODATE'],
  [KPF_DIRTY, 'DIRTY'],
  [KPF_LRU, 'LRU'],
  [KPF_ACTIVE, 'ACTIVE'],
  [KPF_SLAB, 'SLAB'],
  [KPF_WRITEBACK, 'WRITEBACK'],
  [KPF_RECLAIM, 'RECLAIM'],
  [KPF_BUDDY, 'BUDDY'],
  [KPF_MMAP, 'MMAP'],
  [KPF_ANON, 'ANON'],
  [KPF_SWAPCACHE, 'SWAPCACHE'],
  [KPF_SWAPBACKED, 'SWAPBACKED'],
  [KPF_COMPOUND_HEAD, 'COMPOUND_HEAD'],
  [KPF_COMPOUND_TAIL, 'COMPOUND_TAIL'],
  [KPF_HUGE, 'HUGE'],
  [KPF_UNEVICTABLE, 'UNEVICTABLE'],
  [KPF_HWPOISON, 'HWPOISON'],
  [KPF_NOPAGE, 'NOPAGE'],
  [KPF_KSM, 'KSM'],
  [KPF_THP, 'THP'],
  [KPF_OFFLINE, 'OFFLINE'],
  [KPF_ZERO_PAGE, 'ZERO_PAGE'],
  [KPF_IDLE, 'IDLE'],
  [KPF_PGTABLE, 'PGTABLE'],
  [KPF_RESERVED, 'RESERVED'],
  [KPF_MLOCKED, 'MLOCKED'],
  [KPF_OWNER_2, 'OWNER_2'],
  [KPF_PRIVATE, 'PRIVATE'],
  [KPF_PRIVATE_2, 'PRIVATE_2'],
]);
