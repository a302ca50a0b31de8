/** Units and page arithmetic shared by everything. x86-64, 4 KiB base pages. */

export const PAGE_SHIFT = 12;
export const PAGE_SIZE = 4096;
export const KIB = 1024;
export const MIB = 1024 * 1024;
export const GIB = 1024 * 1024 * 1024;
export const TIB = 1024 * 1024 * 1024 * 1024;

/** Base pages in a PMD-mapped huge page, and its order (HPAGE_PMD_NR, HPAGE_PMD_ORDER). */
export const HPAGE_PMD_ORDER = 9;
export const HPAGE_PMD_NR = 512;

/** Largest order of the buddy allocator (MAX_PAGE_ORDER). */
export const MAX_PAGE_ORDER = 10;

/** Pages per pageblock (pageblock_order = HPAGE_PMD_ORDER). OV-7. */
export const PAGEBLOCK_ORDER = 9;
export const PAGEBLOCK_NR = 512;

/** Pages per section, the unit of sparse memory (128 MiB). OV-5. */
export const SECTION_SHIFT = 15;
export const PAGES_PER_SECTION = 32768;

/** Physical page frame number: physical address / 4096. Not every frame has one (design 3.1). */
export type Pfn = number & { readonly __brand?: 'Pfn' };
/** Virtual page number: virtual address / 4096; up to 35 bits, so no bitwise operators. */
export type Vpn = number & { readonly __brand?: 'Vpn' };
/** Dense index of a frame in the FrameTable; -1 = none. */
export type FrameId = number;
export type Nid = number;
export type Order = number;
export type Nanoseconds = number;
export type Bytes = number;
