/**
 * /proc/zoneinfo (mm/vmstat.c: zoneinfo_show_print). HS-25.
 *
 * Shape: one record a zone, populated or not, node by node; the first populated zone of a node
 * also carries the node's items. The same record comes from the model and from a kernel's text.
 * Sizes and batches of the per-CPU lists are computed as Linux does (zone_batchsize,
 * zone_highsize, calculate_normal_threshold).
 * Not modelled: pages on per-CPU lists, so their counts and `high` are 0 (OV-48);
 * node_unreclaimable, HIGHATOMIC reserve: 0.
 */
import { UserError } from '../base/assert.ts';
import { type Nid, PAGES_PER_SECTION, type Pfn } from '../base/units.ts';
import type { Kernel, Zone } from '../mm/index.ts';
import { MAX_NR_ZONES, ZONE_NAMES } from '../uapi/zone.ts';
import { NODE_ITEMS, NUMA_ITEMS, nodeItem, numaItem, ZONE_ITEMS, zoneItem } from './vmstatItems.ts';

/** Rows under the zone's head, in pages, in order. */
export const ZONE_ROWS = [
  'free',
  'boost',
  'min',
  'low',
  'high',
  'promo',
  'spanned',
  'present',
  'managed',
  'cma',
] as const;

const MARKS: ReadonlySet<string> = new Set(['min', 'low', 'high', 'promo']);
const SWAP_CLUSTER_MAX = 32;

/** One CPU's lists: count, high, batch, high_min, high_max, in order. */
export interface Pageset {
  readonly cpu: number;
  readonly rows: ReadonlyMap<string, number>;
  readonly statThreshold: number;
}

/** What only populated zones show. */
export interface PopulatedZone {
  /** nr_* and numa_* items. */
  readonly items: ReadonlyMap<string, number>;
  readonly pagesets: readonly Pageset[];
  readonly nodeUnreclaimable: number;
  readonly startPfn: Pfn;
  readonly reservedHighatomic: number;
  readonly freeHighatomic: number;
}

export interface ZoneinfoZone {
  readonly nid: Nid;
  readonly zone: string;
  /** Items of the node, in the first populated zone of a node only. */
  readonly nodeItems: ReadonlyMap<string, number> | null;
  /** ZONE_ROWS, in pages. */
  readonly rows: ReadonlyMap<string, number>;
  /** Pages kept from requests that could use each zone type. */
  readonly protection: readonly number[];
  readonly populated: PopulatedZone | null;
}

/** All zones of the machine: every type of every node. */
export function zoneinfoOf(k: Kernel): ZoneinfoZone[] {
  const out: ZoneinfoZone[] = [];
  for (const node of k.pm.nodes) {
    if (!node.online) continue;
    for (let type = 0; type < MAX_NR_ZONES; type++) {
      const zones = node.zones.filter((candidate) => candidate.isPopulated);
      const zone = zones.find((candidate) => candidate.type === type);
      out.push(
        zone === undefined
          ? emptyZone(node.nid, ZONE_NAMES[type])
          : zoneOf(k, zone, zone === zones[0]),
      );
    }
  }
  return out;
}

/** A zone without memory: setup_per_zone_wmarks gives MOVABLE its least marks all the same. */
function emptyZone(nid: Nid, zone: string): ZoneinfoZone {
  const mark = zone === 'Movable' ? SWAP_CLUSTER_MAX : 0;
  const rows = new Map(ZONE_ROWS.map((row) => [row as string, MARKS.has(row) ? mark : 0]));
  const protection = new Array<number>(MAX_NR_ZONES).fill(0);
  return { nid, zone, nodeItems: null, rows, protection, populated: null };
}

function zoneOf(k: Kernel, zone: Zone, isFirst: boolean): ZoneinfoZone {
  const [min, low, high, promo] = zone.watermark;
  const boost = zone.watermarkBoost;
  const values = [
    zoneItem(k, zone, 'nr_free_pages'),
    boost,
    min + boost,
    low + boost,
    high + boost,
    promo + boost,
    zone.spannedPages,
    zone.presentPages,
    zone.managedPages,
    zone.cmaPages,
  ];
  const nodeItems = new Map(NODE_ITEMS.map((name) => [name, nodeItem(k, zone.nid, name)]));
  return {
    nid: zone.nid,
    zone: zone.name,
    nodeItems: isFirst ? nodeItems : null,
    rows: new Map(ZONE_ROWS.map((row, i) => [row as string, values[i]])),
    protection: [...zone.lowmemReserve],
    populated: {
      items: itemsOf(k, zone),
      pagesets: pagesetsOf(k, zone),
      nodeUnreclaimable: 0,
      startPfn: zone.startPfn,
      reservedHighatomic: 0,
      freeHighatomic: 0,
    },
  };
}

/** numa_* are counts of the node here: its highest zone below MOVABLE shows them, or its only. */
function itemsOf(k: Kernel, zone: Zone): Map<string, number> {
  const below = k.pm.nodes[zone.nid].zones.filter(
    (one) => one.isPopulated && one.name !== 'Movable',
  );
  const shows = below.length === 0 || below[below.length - 1] === zone;
  const items = new Map(ZONE_ITEMS.map((name) => [name, zoneItem(k, zone, name)]));
  for (const name of NUMA_ITEMS) items.set(name, shows ? numaItem(k, zone.nid, name) : 0);
  return items;
}

function pagesetsOf(k: Kernel, zone: Zone): Pageset[] {
  const cpus = k.spec.nodes.flatMap((node) => [...node.cpus]).sort((a, b) => a - b);
  const local = k.pm.nodes[zone.nid].cpus.length;
  const batch = zoneBatchsize(zone.managedPages);
  const share = (pages: number) =>
    Math.max(Math.floor(pages / (local > 0 ? local : cpus.length)), batch * 4);
  const rows = new Map([
    ['count', 0],
    ['high', 0],
    ['batch', batch],
    ['high_min', share(zone.watermark[1])],
    ['high_max', share(Math.floor(zone.managedPages / 8))],
  ]);
  const statThreshold = normalThreshold(cpus.length, zone.managedPages);
  return cpus.map((cpu) => ({ cpu, rows, statThreshold }));
}

/** zone_batchsize: a quarter of a thousandth of the zone, one less than a power of two. */
function zoneBatchsize(managedPages: number): number {
  const quarter = Math.max(Math.floor(Math.min(Math.floor(managedPages / 1024), 256) / 4), 1);
  const sum = quarter + Math.floor(quarter / 2);
  return Math.max(2 ** (31 - Math.clz32(sum)) - 1, 1);
}

/** calculate_normal_threshold: how far a CPU's counts may lag. */
function normalThreshold(nrCpus: number, managedPages: number): number {
  const fls = (n: number) => 32 - Math.clz32(n);
  const sections = Math.floor(managedPages / PAGES_PER_SECTION);
  return Math.min(2 * fls(nrCpus) * (1 + fls(sections)), 125);
}

/** The text of the file. */
export function formatZoneinfo(zones: readonly ZoneinfoZone[]): string {
  let text = '';
  for (const zone of zones) {
    text += `Node ${zone.nid}, zone ${zone.zone.padStart(8)}`;
    if (zone.nodeItems !== null) text += `\n  per-node stats${itemRows(zone.nodeItems)}`;
    for (const [row, value] of zone.rows) {
      const head = row === 'free' ? '  pages ' : '        ';
      text += `\n${head}${row.padEnd(8)} ${value}`;
    }
    text += `\n        protection: (${zone.protection.join(', ')})\n`;
    if (zone.populated !== null) text += populatedText(zone.populated);
  }
  return text;
}

function itemRows(items: ReadonlyMap<string, number>): string {
  let text = '';
  for (const [name, value] of items) text += `\n      ${name.padEnd(12)} ${value}`;
  return text;
}

function populatedText(zone: PopulatedZone): string {
  let text = `${itemRows(zone.items).slice(1)}\n  pagesets`;
  for (const { cpu, rows, statThreshold } of zone.pagesets) {
    text += `\n    cpu: ${cpu}`;
    for (const [row, value] of rows) text += `\n              ${`${row}:`.padEnd(9)} ${value}`;
    text += `\n  vm stats threshold: ${statThreshold}`;
  }
  text += `\n  node_unreclaimable:  ${zone.nodeUnreclaimable}`;
  text += `\n  start_pfn:           ${zone.startPfn}`;
  text += `\n  reserved_highatomic: ${zone.reservedHighatomic}`;
  return `${text}\n  free_highatomic:     ${zone.freeHighatomic}\n`;
}

/** Reads the text of the file. Errors: UserError with the line that does not belong. */
export function parseZoneinfo(text: string, file = '/proc/zoneinfo'): ZoneinfoZone[] {
  const lines = text.split('\n');
  const heads: number[] = [];
  for (let i = 0; i < lines.length; i++) if (lines[i].startsWith('Node ')) heads.push(i);
  if (heads[0] !== 0) throw new UserError(`${file}:1`, 'no zone', 'expect "Node N, zone NAME"');
  return heads.map((head, i) => parseZone(lines, head, heads[i + 1] ?? lines.length, file));
}

interface OpenPageset {
  readonly cpu: number;
  readonly rows: Map<string, number>;
  statThreshold: number;
}

/** What the lines of one zone have said so far. */
interface OpenZone {
  readonly rows: Map<string, number>;
  readonly nodeItems: Map<string, number>;
  readonly items: Map<string, number>;
  readonly pagesets: OpenPageset[];
  readonly foot: Map<string, number>;
  protection: number[];
}

function parseZone(lines: readonly string[], start: number, end: number, file: string) {
  const head = /^Node (\d+), zone\s+(\S+)$/.exec(lines[start]);
  if (head === null) throw new UserError(`${file}:${start + 1}`, 'no zone', 'expect a zone');
  const open: OpenZone = {
    rows: new Map(),
    nodeItems: new Map(),
    items: new Map(),
    pagesets: [],
    foot: new Map(),
    protection: [],
  };
  for (let i = start + 1; i < end; i++) {
    if (lines[i] !== '' && !parseLine(open, lines[i])) {
      throw new UserError(`${file}:${i + 1}`, `"${lines[i]}" is no line of a zone`, 'remove it');
    }
  }
  return closeZone(open, Number(head[1]), head[2]);
}

function parseLine(open: OpenZone, line: string): boolean {
  if (line === '  per-node stats' || line === '  pagesets') return true;
  if (line.startsWith('        protection: (')) {
    open.protection = line
      .slice(line.indexOf('(') + 1, -1)
      .split(', ')
      .map(Number);
    return true;
  }
  const match = /^( *)(?:pages )?(.*?):? +(\d+)$/.exec(line);
  if (match === null) return false;
  const [, indent, name, digits] = match;
  const value = Number(digits);
  const last = open.pagesets[open.pagesets.length - 1];
  if (name === 'cpu') open.pagesets.push({ cpu: value, rows: new Map(), statThreshold: 0 });
  else if (name === 'vm stats threshold') last.statThreshold = value;
  else if (indent.length === 14) last.rows.set(name, value);
  else if (indent.length === 6) (open.rows.size > 0 ? open.items : open.nodeItems).set(name, value);
  else if (name === 'free' || indent.length === 8) open.rows.set(name, value);
  else open.foot.set(name, value);
  return true;
}

function closeZone(open: OpenZone, nid: Nid, zone: string): ZoneinfoZone {
  const { rows, nodeItems, items, pagesets, foot, protection } = open;
  const populated = {
    items,
    pagesets,
    nodeUnreclaimable: foot.get('node_unreclaimable') ?? 0,
    startPfn: foot.get('start_pfn') ?? 0,
    reservedHighatomic: foot.get('reserved_highatomic') ?? 0,
    freeHighatomic: foot.get('free_highatomic') ?? 0,
  };
  return {
    nid,
    zone,
    nodeItems: nodeItems.size > 0 ? nodeItems : null,
    rows,
    protection,
    populated: items.size > 0 ? populated : null,
  };
}
