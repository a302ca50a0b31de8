import { describe, expect, it } from 'vitest';
import { UserError } from '../base/assert.ts';
import {
  forkTask,
  Kernel,
  loadWord,
  Mempolicy,
  mmapRegion,
  plainMachine,
  storeWord,
  type Task,
} from '../mm/index.ts';
import {
  MPOL_BIND,
  MPOL_F_NUMA_BALANCING,
  MPOL_F_RELATIVE_NODES,
  MPOL_F_STATIC_NODES,
  MPOL_LOCAL,
  MPOL_PREFERRED_MANY,
  MPOL_WEIGHTED_INTERLEAVE,
} from '../uapi/mempolicy.ts';
import { MAP_ANONYMOUS, MAP_PRIVATE, PROT_READ, PROT_WRITE } from '../uapi/mman.ts';
import { ZONE_NORMAL } from '../uapi/zone.ts';
import { formatBuddyinfo, parseBuddyinfo, parsePagetypeinfo } from './buddyinfo.ts';
import { parseMaps } from './maps.ts';
import { meminfoOf, nodeMeminfoOf, parseMeminfo } from './meminfo.ts';
import { numaMapsOf, parseNumaMaps, policyText } from './numaMaps.ts';
import { parseSmaps, smapsAreaOf } from './smaps.ts';
import { parsePairs } from './vmstatFile.ts';
import { ITEMS_NOT_MODELLED, nodeVmstatItems, vmstatItems } from './vmstatItems.ts';
import { parseZoneinfo, zoneinfoOf } from './zoneinfo.ts';

const PAGES = 4;

function boot(): { k: Kernel; task: Task; start: number } {
  const zone = { zone: ZONE_NORMAL, pages: 32768 } as const;
  const node = { cpus: [0], zones: [zone] };
  const far = { cpus: [], zones: [zone] };
  const spec = plainMachine([node, far], { startPfn: 32768 });
  const k = new Kernel(spec, { seed: 1, trackContent: false });
  const task = k.spawn(null, 0);
  const request = { addr: 0, pages: PAGES, prot: PROT_READ | PROT_WRITE, file: null, pgoff: 0 };
  const flags = MAP_PRIVATE | MAP_ANONYMOUS;
  const start = mmapRegion(k, task.mm!, { ...request, flags });
  for (let i = 0; i < PAGES; i++) storeWord(k, task, start + i, 1);
  k.lru.drainAll();
  return { k, task, start };
}

describe('parsers', () => {
  it.each([
    ['zoneinfo', parseZoneinfo, 'Node 0, zone Normal\n  nonsense here\n'],
    ['zoneinfo without a zone', parseZoneinfo, '  pages free 3\n'],
    ['buddyinfo', parseBuddyinfo, 'Node x, zone Normal 1\n'],
    ['pagetypeinfo', parsePagetypeinfo, 'Node 0 zone\n'],
    ['meminfo', parseMeminfo, 'MemTotal 5\n'],
    ['maps', parseMaps, '1000-2000 rwxz\n'],
    ['smaps', parseSmaps, 'Rss: 4 kB\n'],
    ['numa_maps', parseNumaMaps, 'zzz default\n'],
  ])('%s says which line is wrong', (_name, parse, text) => {
    expect(() => parse(text)).toThrow(UserError);
  });

  it('pairs say file and line', () => {
    expect(() => parsePairs('a 1\nb x\n', '/proc/vmstat')).toThrow('/proc/vmstat:2');
  });

  it('buddyinfo: six columns and a space for every order', () => {
    const line = formatBuddyinfo([{ nid: 0, zone: 'DMA', blocks: [1, 20, 3000000] }]);
    expect(line).toBe('Node 0, zone      DMA      1     20 3000000 \n');
  });
});

describe('values follow the model', () => {
  it('OV-44 OV-45 zones add up to nodes, nodes to the machine', () => {
    const { k } = boot();
    const all = vmstatItems(k);
    for (const item of ['nr_free_pages', 'nr_anon_pages', 'nr_active_anon', 'nr_inactive_anon']) {
      const [a, b] = [0, 1].map((nid) => nodeVmstatItems(k, nid).get(item)!);
      expect(`${item} ${a + b}`).toBe(`${item} ${all.get(item)}`);
    }
    expect(all.get('nr_anon_pages')).toBe(PAGES);
    let free = 0;
    for (const zone of zoneinfoOf(k)) free += zone.rows.get('free')!;
    expect(free).toBe(all.get('nr_free_pages'));
    expect(meminfoOf(k).get('AnonPages')).toBe(PAGES * 4);
    expect(meminfoOf(k).get('MemFree')).toBe(free * 4);
  });

  it('items that are not modelled are 0', () => {
    const items = vmstatItems(boot().k);
    for (const name of ITEMS_NOT_MODELLED) expect(`${name} ${items.get(name)}`).toBe(`${name} 0`);
    expect(ITEMS_NOT_MODELLED).not.toContain('nr_free_pages');
  });

  it('HS-26 numa_maps after fork: mapmax 2, one copy gone after a write', () => {
    const { k, task, start } = boot();
    const child = forkTask(k, task) as Task;
    const count = (of: Task, name: string) => numaMapsOf(k, of)[0].counts.get(name);
    expect([count(task, 'anon'), count(task, 'mapmax'), count(task, 'N0')]).toEqual([4, 2, 4]);
    for (let i = 0; i < PAGES; i++) storeWord(k, child, start + i, 2);
    expect([count(child, 'mapmax'), count(task, 'mapmax')]).toEqual([undefined, undefined]);
  });

  it('MP-91 meminfo and a node’s show the pool of huge pages', () => {
    const { k } = boot();
    k.hugetlb.resize(3, 0);
    k.hugetlb.reserved = 1;
    const shown = (rows: ReadonlyMap<string, number>) =>
      ['Total', 'Free', 'Rsvd', 'Surp'].map((row) => rows.get(`HugePages_${row}`));
    expect(shown(meminfoOf(k))).toEqual([3, 3, 1, 0]);
    expect(meminfoOf(k).get('Hugetlb')).toBe(3 * 2048);
    expect(shown(nodeMeminfoOf(k, 0))).toEqual([3, 3, undefined, 0]);
    expect(shown(nodeMeminfoOf(k, 1))).toEqual([0, 0, undefined, 0]);
  });

  it('smaps after fork: shared, half of it as Pss', () => {
    const { k, task, start } = boot();
    const child = forkTask(k, task) as Task;
    loadWord(k, child, start);
    const { rows } = smapsAreaOf(k, child.mm!.vmas[0]);
    const shown = ['Rss', 'Pss', 'Shared_Dirty', 'Private_Dirty'].map((row) => rows.get(row));
    expect(shown).toEqual([16, 8, 16, 0]);
  });

  it.each([
    [null, 'default'],
    [new Mempolicy(MPOL_LOCAL, 0, 0, 0), 'local'],
    [new Mempolicy(MPOL_BIND, MPOL_F_STATIC_NODES, 0b1011, 0b1011), 'bind=static:0-1,3'],
    [new Mempolicy(MPOL_BIND, MPOL_F_NUMA_BALANCING, 1, 1), 'bind=balancing:0'],
    [new Mempolicy(MPOL_PREFERRED_MANY, 0, 6, 6), 'prefer (many):1-2'],
    [
      new Mempolicy(MPOL_WEIGHTED_INTERLEAVE, MPOL_F_RELATIVE_NODES, 5, 5),
      'weighted interleave=relative:0,2',
    ],
  ])('HS-26 policy %#: as mpol_to_str prints it', (policy, text) => {
    expect(policyText(policy)).toBe(text);
    const [area] = parseNumaMaps(`7f0000000000 ${text} anon=1 N0=1 kernelpagesize_kB=4\n`);
    expect([area.policy, area.counts.get('N0')]).toEqual([text, 1]);
  });
});
