/** Why a memory block cannot go offline: what is in the way, whose it is, what would free it. */
import {
  blockOfflineObstacles,
  type Kernel,
  MEM_ONLINE,
  MEMORY_STATE_NAMES,
  type OfflineObstacle,
} from '../mm/index.ts';
import { type ObstacleGroup, obstacleGroups } from './obstacleGroups.ts';
import { OFFLINE_WORDS } from './obstacleWords.ts';

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
    obstacles: obstacleGroups(k, found, OFFLINE_WORDS),
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
