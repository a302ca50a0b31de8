/** include/linux/mm_types.h: flags of get_user_pages and pin_user_pages. PM-1. */

export const FOLL_WRITE = 1 << 0;
export const FOLL_GET = 1 << 1;
export const FOLL_FORCE = 1 << 3;
export const FOLL_ANON = 1 << 7;
export const FOLL_LONGTERM = 1 << 8;
export const FOLL_SPLIT_PMD = 1 << 9;
export const FOLL_PCI_P2PDMA = 1 << 10;

/** Internal: not to be given from outside. */
export const FOLL_TOUCH = 1 << 16;
export const FOLL_PIN = 1 << 19;
export const FOLL_INTERNAL = FOLL_TOUCH | FOLL_PIN;
