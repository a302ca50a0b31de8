/**
 * /proc/buddyinfo and /proc/pagetypeinfo (mm/vmstat.c: frag_show_print, pagetypeinfo_show).
 *
 * How we model it: counts of the zones' free lists and pageblocks. Isolated free blocks stand under
 * the type Isolate, as in Linux.
 * Not modelled: the HighAtomic type: always 0. Its limit of 100000 blocks a list is kept.
 */
import { UserError } from '../base/assert.ts';
import { MAX_PAGE_ORDER, type Nid, PAGEBLOCK_NR, PAGEBLOCK_ORDER } from '../base/units.ts';
import type { Kernel, Zone } from '../mm/index.ts';
import { MIGRATE_TYPES, MIGRATETYPE_NAMES } from '../uapi/zone.ts';

/** Free blocks of a zone by order. */
export interface BuddyinfoZone {
  readonly nid: Nid;
  readonly zone: string;
  readonly blocks: readonly number[];
}

/** What pagetypeinfo says of one zone. */
export interface PagetypeinfoZone {
  readonly nid: Nid;
  readonly zone: string;
  /** Migratetype -> free blocks by order; more than 100000 are shown as Infinity. */
  readonly free: ReadonlyMap<string, readonly number[]>;
  /** Migratetype -> pageblocks. */
  readonly pageblocks: ReadonlyMap<string, number>;
}

/** pagetypeinfo stops counting a list here (it holds the zone's lock meanwhile). */
const COUNTED_MAX = 100000;

const ORDERS: readonly number[] = Array.from({ length: MAX_PAGE_ORDER + 1 }, (_, order) => order);

/** Free blocks of all populated zones. */
export function buddyinfoOf(k: Kernel): BuddyinfoZone[] {
  return k.pm.populatedZones().map((zone) => ({
    nid: zone.nid,
    zone: zone.name,
    blocks: ORDERS.map((order) => {
      let blocks = 0;
      for (let type = 0; type < MIGRATE_TYPES; type++) blocks += zone.nrFreeBlocks(order, type);
      return blocks;
    }),
  }));
}

export function formatBuddyinfo(zones: readonly BuddyinfoZone[]): string {
  let text = '';
  for (const { nid, zone, blocks } of zones) {
    text += `Node ${nid}, zone ${zone.padStart(8)} ${cells(blocks, 6)}\n`;
  }
  return text;
}

/** Errors: UserError with the line that is no zone. */
export function parseBuddyinfo(text: string, file = '/proc/buddyinfo'): BuddyinfoZone[] {
  return linesOf(text).map((line, i) => {
    const match = /^Node (\d+), zone +(\S+) +([\d ]+)$/.exec(line);
    if (match === null)
      throw new UserError(`${file}:${i + 1}`, `"${line}" is no zone`, 'remove it');
    return { nid: Number(match[1]), zone: match[2], blocks: numbers(match[3]) };
  });
}

/** Free blocks by type and pageblocks of all populated zones. */
export function pagetypeinfoOf(k: Kernel): PagetypeinfoZone[] {
  return k.pm.populatedZones().map((zone) => ({
    nid: zone.nid,
    zone: zone.name,
    free: new Map(
      MIGRATETYPE_NAMES.map((name, type) => [name, ORDERS.map((o) => zone.nrFreeBlocks(o, type))]),
    ),
    pageblocks: pageblocksOf(k, zone),
  }));
}

/** pagetypeinfo_showblockcount: pageblocks by type, holes left out. */
function pageblocksOf(k: Kernel, zone: Zone): Map<string, number> {
  const counts = new Array<number>(MIGRATE_TYPES).fill(0);
  const { frames, blocks } = k.pm;
  for (let pfn = zone.startPfn; pfn < zone.endPfn; pfn += PAGEBLOCK_NR) {
    const frame = frames.frameOfPfn(pfn);
    if (frame < 0 || blocks.zoneOfBlock[frame >>> PAGEBLOCK_ORDER] !== zone.id) continue;
    counts[blocks.migratetypeOf(frame)]++;
  }
  return new Map(MIGRATETYPE_NAMES.map((name, type) => [name, counts[type]]));
}

/** One part a node: free blocks by type and order, then pageblocks by type. */
export function formatPagetypeinfo(zones: readonly PagetypeinfoZone[]): string {
  let text = '';
  for (const nid of new Set(zones.map((zone) => zone.nid))) {
    const mine = zones.filter((zone) => zone.nid === nid);
    text += `Page block order: ${PAGEBLOCK_ORDER}\nPages per block:  ${PAGEBLOCK_NR}\n\n`;
    text += `Free pages count per migrate type at order  ${cells(ORDERS, 6)}\n`;
    for (const zone of mine) for (const row of zone.free) text += freeRow(zone, row);
    text += `\nNumber of blocks type  ${cells([...mine[0].pageblocks.keys()], 12)}\n`;
    for (const { zone, pageblocks } of mine) {
      text += `Node ${nid}, zone ${zone.padStart(8)} ${cells([...pageblocks.values()], 12)}\n`;
    }
  }
  return text;
}

function freeRow(zone: PagetypeinfoZone, row: readonly [string, readonly number[]]): string {
  const [type, blocks] = row;
  const shown = blocks.map((n) => (n > COUNTED_MAX ? `>${COUNTED_MAX}` : n));
  const head = `Node ${String(zone.nid).padStart(4)}, zone ${zone.zone.padStart(8)}`;
  return `${head}, type ${type.padStart(12)} ${cells(shown, 6)}\n`;
}

/** Errors: UserError with the line that does not belong. */
export function parsePagetypeinfo(text: string, file = '/proc/pagetypeinfo'): PagetypeinfoZone[] {
  const zones = new Map<
    string,
    { lists: Map<string, number[]>; pageblocks: Map<string, number> }
  >();
  const zoneAt = (nid: string, zone: string) => {
    const key = `${Number(nid)} ${zone}`;
    const known = zones.get(key) ?? { lists: new Map(), pageblocks: new Map() };
    zones.set(key, known);
    return known;
  };
  let types: string[] = [];
  for (const [i, line] of text.split('\n').entries()) {
    const free = /^Node +(\d+), zone +(\S+), type +(\S+) +([>\d ]+)$/.exec(line);
    const blocks = /^Node (\d+), zone +(\S+) +([\d ]+)$/.exec(line);
    if (free !== null) zoneAt(free[1], free[2]).lists.set(free[3], numbers(free[4]));
    else if (line.startsWith('Number of blocks type')) types = line.trim().split(/\s+/).slice(4);
    else if (blocks !== null) {
      const counts = numbers(blocks[3]);
      for (const [t, n] of counts.entries()) {
        zoneAt(blocks[1], blocks[2]).pageblocks.set(types[t], n);
      }
    } else if (line !== '' && !/^(Page block order|Pages per block|Free pages count)/.test(line)) {
      throw new UserError(`${file}:${i + 1}`, `"${line}" does not belong here`, 'remove it');
    }
  }
  return [...zones].map(([key, { lists, pageblocks }]) => {
    const [nid, zone] = key.split(' ');
    return { nid: Number(nid), zone, free: lists, pageblocks };
  });
}

/** Numbers or words, right-aligned, each followed by a space. */
function cells(values: readonly (number | string)[], width: number): string {
  return values.map((value) => `${String(value).padStart(width)} `).join('');
}

function numbers(text: string): number[] {
  const words = text.trim().split(/ +/);
  return words.map((word) => (word.startsWith('>') ? Number.POSITIVE_INFINITY : Number(word)));
}

function linesOf(text: string): string[] {
  return text.split('\n').filter((line) => line !== '');
}
