/** Control groups of programs, as people write them: "web" or "web:mems=0-1,3". */
import { NODES_MAX, parseBitmapList } from '../hw/index.ts';
import { formatShare, formatSlowdown } from './format.ts';
import type { CgroupChoice, CgroupResult, MachineShare, RunResult } from './runTypes.ts';

/** A name of one folder, as mkdir below /sys/fs/cgroup takes it. */
const NAME = /^[A-Za-z0-9_][\w.-]*$/;
const MEMS = 'mems=';

/** The group that `text` names, or what is wrong with it. */
export function parseCgroup(text: string): CgroupChoice | string {
  const [name = '', setting, ...more] = text.split(':');
  if (!NAME.test(name)) return `${name === '' ? 'nothing' : name} is no name`;
  if (setting === undefined) return { name, mems: [] };
  if (!setting.startsWith(MEMS) || more.length > 0) {
    return `${[setting, ...more].join(':') || 'nothing'} is no setting`;
  }
  const mems = parseBitmapList(setting.slice(MEMS.length), NODES_MAX);
  if (typeof mems === 'number') return `${setting} is no list of nodes from 0 to ${NODES_MAX - 1}`;
  return mems.length === 0 ? `${setting} names no node` : { name, mems };
}

/**
 * "redis@web" as its program and its group; group null = there is no @, a text = what is wrong with
 * what stands behind it.
 */
export function splitCgroup(word: string): {
  readonly program: string;
  readonly group: CgroupChoice | string | null;
} {
  const at = word.lastIndexOf('@');
  // The @ of a path belongs to the path.
  if (at < 0 || word.endsWith('.hmt') || word.includes('/', at))
    return { program: word, group: null };
  return { program: word.slice(0, at), group: parseCgroup(word.slice(at + 1)) };
}

/** "batch (mems 1)". */
export function cgroupName({ name, mems }: CgroupChoice): string {
  return mems.length === 0 ? name : `${name} (mems ${mems.join(',')})`;
}

/** How much of its memory was in the top tiers; "–" = it had none. */
export function fastShare({ residentPagesMean, toptierPagesMean }: MachineShare): string {
  return residentPagesMean === 0 ? '–' : formatShare(toptierPagesMean / residentPagesMean);
}

/** When a group was done, over when it was done with enough fast memory for all; "–" = unknown. */
export function cgroupSlowdown({ name, endNs }: CgroupResult, alone: RunResult | null): string {
  const before = alone?.cgroups.find((one) => one.name === name)?.endNs ?? 0;
  return before === 0 ? '–' : formatSlowdown(endNs / before);
}
