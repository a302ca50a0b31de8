/** Allocation flags of include/linux/gfp_types.h that the model distinguishes. PM-30, PM-31. */

export const __GFP_DMA = 1 << 0;
export const __GFP_HIGHMEM = 1 << 1;
export const __GFP_DMA32 = 1 << 2;
export const __GFP_MOVABLE = 1 << 3;
export const __GFP_RECLAIMABLE = 1 << 4;
export const __GFP_HIGH = 1 << 5;
export const __GFP_IO = 1 << 6;
export const __GFP_FS = 1 << 7;
export const __GFP_DIRECT_RECLAIM = 1 << 8;
export const __GFP_KSWAPD_RECLAIM = 1 << 9;
export const __GFP_NOWARN = 1 << 10;
export const __GFP_RETRY_MAYFAIL = 1 << 11;
export const __GFP_NOFAIL = 1 << 12;
export const __GFP_NORETRY = 1 << 13;
export const __GFP_MEMALLOC = 1 << 14;
export const __GFP_COMP = 1 << 15;
export const __GFP_NOMEMALLOC = 1 << 16;
export const __GFP_HARDWALL = 1 << 17;
export const __GFP_THISNODE = 1 << 18;
export const __GFP_ACCOUNT = 1 << 19;

export const __GFP_RECLAIM = __GFP_DIRECT_RECLAIM | __GFP_KSWAPD_RECLAIM;
export const GFP_ATOMIC = __GFP_HIGH | __GFP_KSWAPD_RECLAIM;
export const GFP_NOWAIT = __GFP_KSWAPD_RECLAIM | __GFP_NOWARN;
export const GFP_KERNEL = __GFP_RECLAIM | __GFP_IO | __GFP_FS;
export const GFP_USER = GFP_KERNEL | __GFP_HARDWALL;
export const GFP_HIGHUSER = GFP_USER | __GFP_HIGHMEM;
export const GFP_HIGHUSER_MOVABLE = GFP_HIGHUSER | __GFP_MOVABLE;
export const GFP_TRANSHUGE_LIGHT =
  (GFP_HIGHUSER_MOVABLE | __GFP_COMP | __GFP_NOMEMALLOC | __GFP_NOWARN) & ~__GFP_RECLAIM;
export const GFP_TRANSHUGE = GFP_TRANSHUGE_LIGHT | __GFP_DIRECT_RECLAIM;
