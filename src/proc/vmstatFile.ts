/**
 * Files of one `name value` pair a line: /proc/vmstat (mm/vmstat.c vmstat_show), a node's vmstat
 * and numastat (drivers/base/node.c). vmstatItems.ts says which items are printed as 0.
 */
import { UserError } from '../base/assert.ts';
import type { Nid } from '../base/units.ts';
import type { Kernel } from '../mm/index.ts';
import { nodeVmstatItems, numaItem, vmstatItems } from './vmstatItems.ts';

/** Name in numastat -> item of vmstat; the order of the file. */
const NUMASTAT: ReadonlyArray<readonly [string, string]> = [
  ['numa_hit', 'numa_hit'],
  ['numa_miss', 'numa_miss'],
  ['numa_foreign', 'numa_foreign'],
  ['interleave_hit', 'numa_interleave'],
  ['local_node', 'numa_local'],
  ['other_node', 'numa_other'],
];

/** The text of a file of pairs. */
export function formatPairs(pairs: ReadonlyMap<string, number>): string {
  let text = '';
  for (const [name, value] of pairs) text += `${name} ${value}\n`;
  return text;
}

/** Reads any file of pairs. Errors: UserError with the line that is none. */
export function parsePairs(text: string, file: string): Map<string, number> {
  const pairs = new Map<string, number>();
  const lines = text.split('\n');
  for (let i = 0; i < lines.length; i++) {
    if (lines[i] === '') continue;
    const match = /^(\S+) (-?\d+)$/.exec(lines[i]);
    if (match === null) {
      throw new UserError(`${file}:${i + 1}`, `"${lines[i]}" is no item`, 'expect "name value"');
    }
    pairs.set(match[1], Number(match[2]));
  }
  return pairs;
}

/** /proc/vmstat. */
export function vmstatText(k: Kernel): string {
  return formatPairs(vmstatItems(k));
}

/** /sys/devices/system/node/nodeN/vmstat. */
export function nodeVmstatText(k: Kernel, nid: Nid): string {
  return formatPairs(nodeVmstatItems(k, nid));
}

/** /sys/devices/system/node/nodeN/numastat. */
export function numastatText(k: Kernel, nid: Nid): string {
  return formatPairs(new Map(NUMASTAT.map(([name, item]) => [name, numaItem(k, nid, item)])));
}
