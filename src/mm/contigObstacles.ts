/**
 * What keeps alloc_contig_range from a range of frames, found without trying: pageblock by
 * pageblock what isolation would refuse (PM-60, PM-62), then folio by folio what five calls of the
 * migration engine would leave behind (PM-80, MC-80). Reads only.
 *
 * `effect` is what the call would come to: `refuses` = -EBUSY at once, `fails` = -EBUSY after
 * everything else has moved. Not told: folios that are locked or written back at this moment, and
 * lack of memory elsewhere (-ENOMEM), because both pass.
 */
import { type FrameId, PAGEBLOCK_NR } from '../base/units.ts';
import { CAUSE_HWPOISON, CAUSE_NOT_ON_LRU, CAUSE_UNMOVABLE } from './failureLog.ts';
import { PG_BUDDY, PG_HWPOISON, PG_LRU, PG_LRU_BATCH, PG_MOVABLE_OPS } from './frameTable.ts';
import { HPAGE_MIGRATABLE } from './hugetlbPool.ts';
import { findUnmovable, ISOLATE_MODE_CMA_ALLOC, ISOLATE_MODE_OTHER } from './isolation.ts';
import type { Kernel } from './kernel.ts';
import {
  migrationObstacle,
  nextFrame,
  type OfflineObstacle,
  obstacle,
  pageblockRefusal,
} from './offlineObstacles.ts';

/** All obstacles to allocContigRange(k, start, end, forCma), by address. Empty: it would work. */
export function contigObstacles(
  k: Kernel,
  start: FrameId,
  end: FrameId,
  forCma: boolean,
): OfflineObstacle[] {
  const found: OfflineObstacle[] = [];
  for (let frame = start; frame < end; ) {
    if (frame === start || frame % PAGEBLOCK_NR === 0) {
      const block = frame - (frame % PAGEBLOCK_NR);
      const refusal = pageblockRefusal(k, block, forCma);
      if (refusal !== null) found.push(refusal);
      if (refusal !== null || k.pm.isPristine(frame)) {
        frame = block + PAGEBLOCK_NR;
        continue;
      }
    }
    const one = obstacleAt(k, frame, forCma);
    if (one !== null) found.push(one);
    // Once the batch is drained, the rest comes to light.
    const next = one?.kind === 'batched' ? migrationObstacle(k, one.frame, 'fails') : null;
    if (next !== null) found.push(next);
    frame = nextFrame(k, frame);
  }
  return found;
}

function obstacleAt(k: Kernel, frame: FrameId, forCma: boolean): OfflineObstacle | null {
  const { frames, folios, pm } = k;
  const head = frames.headOf(frame);
  const mode = forCma ? ISOLATE_MODE_CMA_ALLOC : ISOLATE_MODE_OTHER;
  if (findUnmovable(pm, pm.zoneOf(frame), frame, frame + 1, mode, () => true) >= 0) {
    const isBatched = (frames.flags[head] & PG_LRU_BATCH) !== 0;
    return obstacle(k, isBatched ? 'batched' : 'unmovable', 'refuses', head, CAUSE_UNMOVABLE);
  }
  if ((frames.flags[frame] & PG_BUDDY) !== 0 || k.hugetlb.isFree(head)) return null;
  for (let page = head; page < head + folios.nrPages(head); page++) {
    if (frames.has(page, PG_HWPOISON))
      return obstacle(k, 'poisoned', 'fails', head, CAUSE_HWPOISON);
  }
  if (frames.refcount[head] === 0) return null;
  if (head !== frame && !folios.isHugetlb(head)) {
    return obstacle(k, 'cut-folio', 'fails', head, CAUSE_NOT_ON_LRU);
  }
  if ((frames.flags[head] & PG_MOVABLE_OPS) !== 0) return null;
  const isListed = folios.isHugetlb(head)
    ? (frames.private_[head] & HPAGE_MIGRATABLE) !== 0
    : (frames.flags[head] & (PG_LRU | PG_LRU_BATCH)) !== 0;
  if (isListed) return migrationObstacle(k, head, 'fails');
  const isUser = folios.isAnon(head) || folios.hasFileMapping(head);
  return obstacle(k, isUser ? 'off-lru' : 'unmovable', 'fails', head, CAUSE_NOT_ON_LRU);
}
