/** Control groups of programs, as people write them: "web" or "web:mems=0-1,3". */
import { formatSlowdown } from './format.ts';
import type { CgroupChoice, CgroupResult, RunResult } from './runTypes.ts';

/** A name of one folder, as mkdir below /sys/fs/cgroup takes it. */
const NAME = /^[A-Za-z0-9_][\w.-]*$/;
const NODE_MAX = 63;

/** The group that `text` names; null if it names none. */
export function parseCgroup(text: string): CgroupChoice | null {
  const [name = '', setting, ...more] = text.split(':');
  if (!NAME.test(name) || more.length > 0) return null;
  if (setting === undefined) return { name, mems: [] };
  if (!setting.startsWith('mems=')) return null;
  const mems = parseNodeList(setting.slice('mems='.length));
  return mems === null ? null : { name, mems };
}

/** "0-1,3" as cpuset.mems takes it, ascending; null if it is no list of nodes. */
export function parseNodeList(text: string): number[] | null {
  const nids = new Set<number>();
  for (const part of text.split(',')) {
    const match = /^(\d{1,2})(?:-(\d{1,2}))?$/.exec(part);
    if (match === null) return null;
    const [first, last] = [Number(match[1]), Number(match[2] ?? match[1])];
    if (last < first || last > NODE_MAX) return null;
    for (let nid = first; nid <= last; nid++) nids.add(nid);
  }
  return [...nids].sort((a, b) => a - b);
}

/**
 * "redis@web" as its program and its group; group null = there is no @, undefined = what stands
 * behind it is no group.
 */
export function splitCgroup(word: string): {
  readonly program: string;
  readonly group: CgroupChoice | null | undefined;
} {
  const at = word.lastIndexOf('@');
  // The @ of a path belongs to the path.
  if (at < 0 || word.endsWith('.hmt') || word.includes('/', at))
    return { program: word, group: null };
  return { program: word.slice(0, at), group: parseCgroup(word.slice(at + 1)) ?? undefined };
}

/** "batch (mems 1)". */
export function cgroupName({ name, mems }: CgroupChoice): string {
  return mems.length === 0 ? name : `${name} (mems ${mems.join(',')})`;
}

/** When a group was done, over when it was done with enough fast memory for all; "–" = unknown. */
export function cgroupSlowdown({ name, endNs }: CgroupResult, alone: RunResult | null): string {
  const before = alone?.cgroups.find((one) => one.name === name)?.endNs ?? 0;
  return before === 0 ? '–' : formatSlowdown(endNs / before);
}
