/** Why a memory block cannot go offline: what is in the way, whose it is, what would free it. */
import {
  blockOfflineObstacles,
  holdersOf,
  type Kernel,
  MEM_ONLINE,
  MEMORY_STATE_NAMES,
  type ObstacleKind,
  type OfflineObstacle,
} from '../mm/index.ts';
import { ownerText, processText } from './ownerText.ts';

interface ObstacleWords {
  readonly rules: string;
  readonly sentence: string;
  readonly remedy: string;
}

const OBSTACLES: Readonly<Record<ObstacleKind, ObstacleWords>> = {
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
};

/** Obstacles of one kind with the same owners. */
export interface ObstacleGroup extends ObstacleWords {
  readonly kind: ObstacleKind;
  /** refuses: -EBUSY or -EINVAL at once; fails: -EBUSY at the end; repeats: until a signal. */
  readonly effect: string;
  readonly owners: readonly string[];
  readonly holders: readonly string[];
  readonly places: number;
  readonly pages: number;
  /** PFNs of the first ones. */
  readonly examples: readonly number[];
}

export interface BlockAccount {
  readonly place: string;
  readonly startPfn: number;
  readonly pages: number;
  readonly nid: number;
  /** 'online', 'offline' … */
  readonly state: string;
  /** What echo offline > state would come to. */
  readonly verdict: string;
  readonly obstacles: readonly ObstacleGroup[];
}

const EXAMPLES_MAX = 4;

/** Precondition: the block exists. */
export function whyBlock(k: Kernel, block: number): BlockAccount {
  const { memoryBlocks } = k.pm;
  const isOnline = memoryBlocks.state[block] === MEM_ONLINE;
  const found = isOnline ? blockOfflineObstacles(k, block) : [];
  return {
    place: `block:${block}`,
    startPfn: memoryBlocks.startPfn(block),
    pages: memoryBlocks.blockPages,
    nid: memoryBlocks.nid[block],
    state: MEMORY_STATE_NAMES[memoryBlocks.state[block]],
    verdict: isOnline ? verdictOf(found) : 'is not online',
    obstacles: groupsOf(k, found),
  };
}

function verdictOf(found: readonly OfflineObstacle[]): string {
  const first = (effect: string) => found.find((one) => one.effect === effect);
  // PM-70: holes and zones are looked at before anything is isolated.
  const isInvalid = found.some(({ kind }) => kind === 'hole' || kind === 'several-zones');
  if (isInvalid) return 'refused at once: -EINVAL';
  if (first('refuses') !== undefined) return 'refused at once: -EBUSY';
  if (first('repeats') !== undefined) return 'tries for ever: -EINTR with a signal';
  return first('fails') !== undefined
    ? 'fails after everything else has moved: -EBUSY'
    : 'goes offline';
}

function groupsOf(k: Kernel, found: readonly OfflineObstacle[]): ObstacleGroup[] {
  const groups = new Map<string, OfflineObstacle[]>();
  for (const one of found) {
    const key = `${one.kind} ${ownersOf(k, one).join()} ${holderTexts(k, one).join()}`;
    groups.set(key, [...(groups.get(key) ?? []), one]);
  }
  return [...groups.values()].map((members) => ({
    kind: members[0].kind,
    effect: members[0].effect,
    ...OBSTACLES[members[0].kind],
    owners: ownersOf(k, members[0]),
    holders: holderTexts(k, members[0]),
    places: members.length,
    pages: members.reduce((sum, { nrPages }) => sum + nrPages, 0),
    examples: members.slice(0, EXAMPLES_MAX).map(({ pfn }) => pfn),
  }));
}

/** Owners without addresses, so that pages of one area are one group. */
function ownersOf(k: Kernel, { owners }: OfflineObstacle): string[] {
  return owners.map((owner) => {
    if (owner.kind === 'process') return `process ${processText(k, owner.pid)}`;
    return owner.kind === 'file' ? `page cache of ${owner.name}` : ownerText(k, owner);
  });
}

function holderTexts(k: Kernel, { frame, effect }: OfflineObstacle): string[] {
  if (frame < 0 || effect !== 'repeats') return [];
  return holdersOf(k, frame).map(({ holder }) => {
    const pids = [...holder.pids].map((pid) => processText(k, pid)).join(', ');
    return `${holder.kind} "${holder.name}" of process ${pids}`;
  });
}
