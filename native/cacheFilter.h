/*
 * The modelled caches: which accesses of a thread reach memory.
 *
 * Real: a private L1d and L2 per core and a last-level cache shared by all. Here: L1 and L2 per
 * thread, LLC per process; any may be absent. Set associative, true LRU by order in the set
 * (most recent first), write-allocate, write-back. Levels are filled together and forget lines
 * independently (neither inclusive nor exclusive).
 *
 * What is recorded (the one rule that everything else follows from):
 *   read   a load found its line in no level;
 *   write  a store made a line dirty that was clean or absent in the outermost level.
 * So each "write" stands for exactly one later write-back, recorded at the store and not at the
 * eviction: the store is when Linux sees the page fault, the copy on write and the dirty bit.
 * A store to an absent line also fetches it; that fetch is not recorded a second time.
 *
 * Not modelled: prefetchers, coherence misses between threads (served by another cache, not by
 * memory), non-temporal stores, accesses across two lines (the first one counts).
 */
#ifndef HETMEM_CACHE_FILTER_H
#define HETMEM_CACHE_FILTER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* Entries hold line << 1 | dirty; line 0 is never mapped, so 0 = empty. */
typedef struct {
  uint64_t *entries; /* sets << strideShift */
  uint64_t setMask;
  unsigned ways;        /* 0: this level is absent */
  unsigned strideShift; /* ways rounded up to a power of two */
} cacheLevel;

typedef struct {
  uint64_t sizeBytes;
  unsigned ways;
} cacheShape;

typedef struct {
  cacheLevel l1, l2;
  cacheLevel *llc; /* of the whole process; NULL if absent */
} cacheFilter;

/* False when `shape` has no power-of-two number of sets, or no memory is left. */
bool cacheLevelMake(cacheLevel *level, cacheShape shape, unsigned lineShift);
void cacheLevelForget(cacheLevel *level);
/* Forgets lines [first, end). Other threads' levels: a race loses at most a line's state. */
void cacheLevelForgetRange(cacheLevel *level, uint64_t first, uint64_t end);
/* All lines count as written back: the next store to each is recorded again (fork). */
void cacheLevelClean(cacheLevel *level);

/*
 * An access whose line is not the most recent of its L1 set: true if it reaches memory.
 * `dirty` is 1 for a store. With `lockLlc`, the shared level is locked set by set.
 */
bool cacheFilterMiss(cacheFilter *filter, uint64_t line, uint64_t dirty, bool lockLlc);

/* The fast path: most accesses end here. A store ends here only on a line already dirty. */
static inline bool cacheFilterHitsFirst(const cacheLevel *l1, uint64_t line, uint64_t dirty) {
  const uint64_t entry = l1->entries[(line & l1->setMask) << l1->strideShift];
  return (entry | (dirty ^ 1)) == (line << 1 | 1);
}

#endif
