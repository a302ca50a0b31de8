/* The modelled caches; see cacheFilter.h. */
#include "cacheFilter.h"

#include <stddef.h>
#include <sys/mman.h>

#define LLC_LOCKS 1024

static atomic_flag llcLocks[LLC_LOCKS];

static inline uint64_t *setOf(const cacheLevel *level, uint64_t line) {
  return level->entries + ((line & level->setMask) << level->strideShift);
}

static size_t entryCount(const cacheLevel *level) {
  return (size_t)(level->setMask + 1) << level->strideShift;
}

bool cacheLevelMake(cacheLevel *level, cacheShape shape, unsigned lineShift) {
  *level = (cacheLevel){0};
  if (shape.ways == 0) return true;
  const uint64_t lines = shape.sizeBytes >> lineShift;
  const uint64_t sets = lines / shape.ways;
  if (sets == 0 || (sets & (sets - 1)) != 0) return false;
  while ((1u << level->strideShift) < shape.ways) level->strideShift++;
  level->setMask = sets - 1;
  level->ways = shape.ways;
  void *memory = mmap(NULL, entryCount(level) * sizeof(uint64_t), PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return false;
  level->entries = memory;
  return true;
}

void cacheLevelForget(cacheLevel *level) {
  if (level->ways == 0) return;
  const size_t count = entryCount(level);
  for (size_t i = 0; i < count; i++) level->entries[i] = 0;
}

void cacheLevelClean(cacheLevel *level) {
  if (level->ways == 0) return;
  const size_t count = entryCount(level);
  for (size_t i = 0; i < count; i++) level->entries[i] &= ~(uint64_t)1;
}

void cacheLevelForgetRange(cacheLevel *level, uint64_t first, uint64_t end) {
  if (level->ways == 0) return;
  if (end - first <= level->setMask) {
    for (uint64_t line = first; line < end; line++) {
      uint64_t *set = setOf(level, line);
      for (unsigned i = 0; i < level->ways; i++) {
        if (set[i] >> 1 == line) set[i] = 0;
      }
    }
    return;
  }
  const size_t count = entryCount(level);
  for (size_t i = 0; i < count; i++) {
    const uint64_t line = level->entries[i] >> 1;
    if (line >= first && line < end) level->entries[i] = 0;
  }
}

/* What one level knew of a line before it became the most recent of its set. */
enum state { ABSENT, CLEAN, DIRTY };

/* Looks `line` up, makes it the most recent, sets its dirty bit if asked; fills it if absent. */
static inline enum state touch(const cacheLevel *level, uint64_t line, uint64_t dirty) {
  uint64_t *set = setOf(level, line);
  const unsigned last = level->ways - 1;
  uint64_t carried = set[0];
  if (carried >> 1 == line) {
    set[0] = carried | dirty;
    return carried & 1 ? DIRTY : CLEAN;
  }
  for (unsigned i = 1; i <= last; i++) {
    const uint64_t entry = set[i];
    set[i] = carried;
    if (entry >> 1 == line) {
      set[0] = entry | dirty;
      return entry & 1 ? DIRTY : CLEAN;
    }
    carried = entry;
  }
  set[0] = line << 1 | dirty;
  return ABSENT;
}

/* Nothing further out has to be asked: a load that was found, a store to a dirty line. */
static inline bool settled(enum state was, uint64_t dirty) {
  return dirty ? was == DIRTY : was != ABSENT;
}

bool cacheFilterMiss(cacheFilter *filter, uint64_t line, uint64_t dirty, bool lockLlc) {
  if (filter->l1.ways != 0 && settled(touch(&filter->l1, line, dirty), dirty)) return false;
  if (filter->l2.ways != 0) {
    const enum state was = touch(&filter->l2, line, dirty);
    if (settled(was, dirty)) {
      /* A line that left L1 dirty is dirty again there: it was not written back meanwhile. */
      if (was == DIRTY && filter->l1.ways != 0) setOf(&filter->l1, line)[0] |= 1;
      return false;
    }
  }
  if (filter->llc == NULL) return true;
  atomic_flag *lock = &llcLocks[(line & filter->llc->setMask) % LLC_LOCKS];
  if (lockLlc) {
    while (atomic_flag_test_and_set_explicit(lock, memory_order_acquire)) {
    }
  }
  const enum state was = touch(filter->llc, line, dirty);
  if (lockLlc) atomic_flag_clear_explicit(lock, memory_order_release);
  return !settled(was, dirty);
}
