/** What is in the way of memory blocks and ranges: rules, a sentence, what would free it. */
import type { ObstacleKind } from '../mm/index.ts';

export interface ObstacleWords {
  readonly rules: string;
  readonly sentence: string;
  readonly remedy: string;
}

/** Of offlining. */
export const OFFLINE_WORDS: Readonly<Record<ObstacleKind, ObstacleWords>> = {
  hole: {
    rules: 'PM-70',
    sentence: 'the block has a hole: not all of it is memory (-EINVAL)',
    remedy: 'nothing: only whole blocks go offline',
  },
  'several-zones': {
    rules: 'PM-70, PM-74a',
    sentence: 'the block lies in more than one zone (-EINVAL)',
    remedy: 'nothing: online the memory into one zone at the next boot',
  },
  isolated: {
    rules: 'PM-62',
    sentence: 'somebody else has isolated the pageblock (-EBUSY)',
    remedy: 'try again when alloc_contig_range or the other offlining is over',
  },
  cma: {
    rules: 'PM-60',
    sentence: 'the pageblock belongs to a CMA area (-EBUSY)',
    remedy: 'boot without the CMA area, or with it elsewhere',
  },
  unmovable: {
    rules: 'PM-60',
    sentence: 'unmovable memory: no LRU page and no movable_ops (-EBUSY)',
    remedy: 'end what allocated it; keep such memory out of the block with ZONE_MOVABLE',
  },
  'offline-page': {
    rules: 'PM-70',
    sentence: 'a driver has the page offline and still refers to it',
    remedy: 'let the driver give it back, e.g. deflate the balloon',
  },
  'hugetlb-promised': {
    rules: 'PM-70',
    sentence: 'a free hugetlb page that a mapping was promised cannot be dissolved (-EBUSY)',
    remedy: 'raise nr_hugepages elsewhere, or end the mapping',
  },
  pinned: {
    rules: 'PM-61, MC-27',
    sentence: 'the page may be DMA-pinned: offlining tries again and again until a signal',
    remedy: 'let the holder unpin: unregister the buffer, end the I/O, close the handle',
  },
  'extra-reference': {
    rules: 'PM-61, MC-38',
    sentence: 'a reference that nothing explains: offlining tries again and again until a signal',
    remedy: 'let the holder go: read the pipe empty, end the I/O, unpin',
  },
  'no-migrate-operation': {
    rules: 'MC-41',
    sentence: 'the file cannot migrate its page: offlining tries again and again until a signal',
    remedy: 'delete or truncate the file',
  },
  'off-lru': {
    rules: 'PM-71',
    sentence: 'somebody else has isolated the page: offlining tries again and again until a signal',
    remedy: 'try again when reclaim or the other migration is over',
  },
  'no-kernel-zone': {
    rules: 'PM-71, PM-30',
    sentence:
      'pages of a kernel zone go to kernel zones, and no other node has one: tries for ever',
    remedy: 'online memory of another node with online_kernel, or free the page',
  },
  batched: {
    rules: 'PM-60',
    sentence: 'the page is in a per-CPU batch: it counts as unmovable until that is drained',
    remedy: 'try again: batches are drained all the time',
  },
  poisoned: {
    rules: 'PM-64, MC-39',
    sentence: 'an uncorrectable memory error: the frame is never used again',
    remedy: 'ask for a range without it',
  },
  'cut-folio': {
    rules: 'PM-80',
    sentence: 'the range begins inside a large folio, of which only whole ones are isolated',
    remedy: 'begin at the folio, or split it',
  },
};

/** Of alloc_contig_range, where the words differ. */
export const CONTIG_WORDS: Readonly<Record<ObstacleKind, ObstacleWords>> = {
  ...OFFLINE_WORDS,
  hole: {
    rules: 'PM-60',
    sentence: 'not all of the range is memory (-EBUSY)',
    remedy: 'ask for a range without the hole',
  },
  'several-zones': {
    rules: 'PM-62',
    sentence: 'the pageblock lies in more than one zone (-EBUSY)',
    remedy: 'ask for a range in whole pageblocks of a zone',
  },
  cma: {
    rules: 'PM-60, PM-62',
    sentence: 'the pageblock belongs to a CMA area, which only cma_alloc may use (-EBUSY)',
    remedy: 'ask the area: cma_alloc',
  },
  unmovable: {
    rules: 'PM-60, PM-80',
    sentence: 'unmovable memory: no LRU page and no movable_ops (-EBUSY)',
    remedy: 'end what allocated it, for memory of a driver: free it',
  },
  pinned: {
    rules: 'PM-83, MC-27, MC-80',
    sentence: 'the page may be DMA-pinned: it stays, and the range is -EBUSY',
    remedy: 'let the holder unpin; FOLL_LONGTERM would have moved it out of a CMA area (PM-15)',
  },
  'extra-reference': {
    rules: 'PM-80, MC-38, MC-80',
    sentence: 'a reference that nothing explains: five tries, then -EBUSY',
    remedy: 'let the holder go: read the pipe empty, end the I/O, unpin',
  },
  'no-migrate-operation': {
    rules: 'MC-41, PM-80',
    sentence: 'the file cannot migrate its page: five tries, then -EBUSY',
    remedy: 'delete or truncate the file',
  },
  'off-lru': {
    rules: 'PM-80, MC-80',
    sentence: 'somebody else has isolated the page: it stays, and the range is -EBUSY',
    remedy: 'try again when reclaim or the other migration is over',
  },
};
