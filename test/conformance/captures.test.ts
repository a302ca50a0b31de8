/**
 * /proc and /sys files captured on real machines against the same machines in the model, freshly
 * booted. Each file is read by one parser, written back byte by byte, and compared field by field:
 * the same zones and the same items in the same order, and equal values where a boot decides them.
 *
 * Not compared, because the captured machine had been running: free pages, blocks on free lists,
 * LRU, slab, page table and numa counts, `high` and counts of per-CPU lists (not modelled), MemFree
 * and what follows from it. The span of node 0's zone Device (the reach of a test driver that
 * the model does not have). Watermarks of zones whose marks the machine file fixes
 * are compared; the file gives min, low and high, the rest is the model's.
 */
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { observedMachine } from '../../src/hw/index.ts';
import { Kernel } from '../../src/mm/index.ts';
import {
  buddyinfoOf,
  formatBuddyinfo,
  formatMeminfo,
  formatNodeMeminfo,
  formatPagetypeinfo,
  formatPairs,
  formatZoneinfo,
  memAvailablePages,
  meminfoOf,
  nodeMeminfoOf,
  nodeVmstatText,
  numastatText,
  pagetypeinfoOf,
  parseBuddyinfo,
  parseMeminfo,
  parsePagetypeinfo,
  parsePairs,
  parseZoneinfo,
  vmstatText,
  type ZoneinfoZone,
  zoneinfoOf,
} from '../../src/proc/index.ts';

const folder = dirname(fileURLToPath(import.meta.url));
const machines = JSON.parse(readFileSync(join(folder, 'machines.json'), 'utf8'));
const NODES = [0, 1, 2, 3];

function captured(machine: string, file: string): string {
  return readFileSync(join(folder, 'captures', machine, file), 'utf8');
}

function booted(machine: string): Kernel {
  return new Kernel(observedMachine(machines, machine), { seed: 1, trackContent: false });
}

const FIXED_ROWS = [
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

/** What a boot decides of a zone. */
function fixedPart(zone: ZoneinfoZone) {
  const rows = zone.zone === 'Device' ? [] : FIXED_ROWS;
  return {
    name: `${zone.nid} ${zone.zone}`,
    rows: rows.map((row) => [row, zone.rows.get(row)]),
    protection: zone.protection,
    startPfn: zone.populated?.startPfn,
    pagesets: zone.populated?.pagesets.map((set) => [
      set.cpu,
      set.rows.get('batch'),
      set.rows.get('high_max'),
      set.statThreshold,
    ]),
  };
}

function itemNames(zone: ZoneinfoZone) {
  const names = (map: ReadonlyMap<string, unknown> | undefined | null) => [...(map?.keys() ?? [])];
  return {
    node: names(zone.nodeItems),
    rows: names(zone.rows),
    items: names(zone.populated?.items),
    pagesets: zone.populated?.pagesets.map((set) => names(set.rows)),
  };
}

describe.each(['four-nodes-cma', 'three-nodes-cxl'])('files of %s', (machine) => {
  const k = booted(machine);

  it('HS-25 zoneinfo: one parser reads both, the text comes back byte by byte', () => {
    const text = captured(machine, 'proc/zoneinfo');
    expect(formatZoneinfo(parseZoneinfo(text))).toBe(text);
    const ours = zoneinfoOf(k);
    expect(parseZoneinfo(formatZoneinfo(ours))).toEqual(ours);
  });

  it('HS-25 zoneinfo: the same zones and items in the same order', () => {
    const theirs = parseZoneinfo(captured(machine, 'proc/zoneinfo'));
    expect(zoneinfoOf(k).map(itemNames)).toEqual(theirs.map(itemNames));
  });

  it('HS-25 PM-35 PM-36 zoneinfo: spans, watermarks, reserves, CMA, batches as observed', () => {
    const theirs = parseZoneinfo(captured(machine, 'proc/zoneinfo'));
    expect(zoneinfoOf(k).map(fixedPart)).toEqual(theirs.map(fixedPart));
  });

  it('buddyinfo and pagetypeinfo: layout, zones, types; as many pageblocks', () => {
    const buddyText = captured(machine, 'proc/buddyinfo');
    const buddy = parseBuddyinfo(buddyText);
    expect(formatBuddyinfo(buddy)).toBe(buddyText);
    const names = (zones: readonly { nid: number; zone: string }[]) =>
      zones.map(({ nid, zone }) => `${nid} ${zone}`);
    expect(names(buddyinfoOf(k))).toEqual(names(buddy));
    const typeText = captured(machine, 'proc/pagetypeinfo');
    const types = parsePagetypeinfo(typeText);
    expect(formatPagetypeinfo(types)).toBe(typeText);
    const ours = pagetypeinfoOf(k);
    expect(names(ours)).toEqual(names(types));
    const sum = (zone: (typeof types)[number]) => {
      let all = 0;
      for (const n of zone.pageblocks.values()) all += n;
      return all;
    };
    expect(ours.map(sum)).toEqual(types.map(sum));
    expect(ours.map((zone) => [...zone.free.keys()])).toEqual(
      types.map((zone) => [...zone.free.keys()]),
    );
    const cma = (zone: (typeof types)[number]) => zone.pageblocks.get('CMA');
    expect(ours.map(cma)).toEqual(types.map(cma));
  });

  it('OV-44 vmstat, node vmstat, numastat: the same items in the same order', () => {
    const files: [string, string][] = [['proc/vmstat', vmstatText(k)]];
    for (const nid of NODES) {
      files.push([`node${nid}/vmstat`, nodeVmstatText(k, nid)]);
      files.push([`node${nid}/numastat`, numastatText(k, nid)]);
    }
    for (const [file, ours] of files) {
      const text = captured(machine, file);
      const pairs = parsePairs(text, file);
      expect(formatPairs(pairs), file).toBe(text);
      expect([...parsePairs(ours, file).keys()], file).toEqual([...pairs.keys()]);
    }
  });

  it('meminfo: layout, and what the boot decides', () => {
    const text = captured(machine, 'proc/meminfo');
    const theirs = parseMeminfo(text);
    expect(formatMeminfo(theirs)).toBe(text);
    const ours = meminfoOf(k);
    expect([...ours.keys()]).toEqual([...theirs.keys()]);
    const fixed = ['MemTotal', 'SwapTotal', 'CommitLimit', 'VmallocTotal', 'CmaTotal'];
    for (const row of [...fixed, 'Hugepagesize', 'Mlocked', 'AnonHugePages']) {
      expect(`${row} ${ours.get(row)}`).toBe(`${row} ${theirs.get(row)}`);
    }
  });

  it('MemAvailable follows from the other figures of the captured machine', () => {
    const theirs = parseMeminfo(captured(machine, 'proc/meminfo'));
    const zones = parseZoneinfo(captured(machine, 'proc/zoneinfo')).map((zone) => ({
      low: zone.rows.get('low')!,
      high: zone.rows.get('high')!,
      managed: zone.rows.get('managed')!,
      protection: zone.protection,
    }));
    const pages = (row: string) => theirs.get(row)! / 4;
    const available = memAvailablePages(zones, {
      free: pages('MemFree'),
      pagecache: pages('Active(file)') + pages('Inactive(file)'),
      reclaimable: pages('KReclaimable'),
    });
    expect(available).toBe(pages('MemAvailable'));
  });

  it.each(NODES)('meminfo of node %i', (nid) => {
    const text = captured(machine, `node${nid}/meminfo`);
    const theirs = parseMeminfo(text);
    expect(formatNodeMeminfo(nid, theirs)).toBe(text);
    const ours = nodeMeminfoOf(k, nid);
    expect([...ours.keys()]).toEqual([...theirs.keys()]);
    expect(ours.get('MemTotal')).toBe(theirs.get('MemTotal'));
    expect(ours.get('MemUsed')).toBe(ours.get('MemTotal')! - ours.get('MemFree')!);
  });
});
