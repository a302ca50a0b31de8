/** Obstacles in groups: what is the same of many frames is said once. */
import { holdersOf, type Kernel, type ObstacleKind, type OfflineObstacle } from '../mm/index.ts';
import type { ObstacleWords } from './obstacleWords.ts';
import { ownerText, processText } from './ownerText.ts';

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

const EXAMPLES_MAX = 4;

/** Obstacles with the same kind, owners and holders as one. */
export function obstacleGroups(
  k: Kernel,
  found: readonly OfflineObstacle[],
  words: Readonly<Record<ObstacleKind, ObstacleWords>>,
): ObstacleGroup[] {
  const groups = new Map<string, OfflineObstacle[]>();
  for (const one of found) {
    const key = `${one.kind} ${ownersOf(k, one).join()} ${holderTexts(k, one).join()}`;
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [one]);
    else group.push(one);
  }
  return [...groups.values()].map((members) => ({
    kind: members[0].kind,
    effect: members[0].effect,
    ...words[members[0].kind],
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
  if (frame < 0 || effect === 'refuses') return [];
  return holdersOf(k, frame).map(({ holder }) => {
    const pids = [...holder.pids].map((pid) => processText(k, pid)).join(', ');
    return `${holder.kind} "${holder.name}" of process ${pids}`;
  });
}
