/** Private device memory and nodes of device memory: S-DM-03 to S-DM-31. */
import { describe, expect, it } from 'vitest';
import { DeviceBench, PRIVATE } from '../../src/drivers/deviceBench.ts';
import { Dmirror, DmirrorDevice } from '../../src/drivers/index.ts';
import { machineFileReader, NODE_PRESETS } from '../../src/hw/index.ts';
import { NODE_PROBES, NodeStage } from '../../src/labs/nodeProbes.ts';
import {
  accessPage,
  allocPages,
  checkInvariants,
  FAULT_OOM,
  FAULT_SIGBUS,
  Kernel,
  MEMORY_DEVICE_PRIVATE,
  MMU_NOTIFY_CLEAR,
  MmuInterval,
  makeDeviceExclusive,
  memremapPages,
  mmuIntervalInsert,
  munmapRange,
  PG_LRU,
  PTE_KIND_DEVICE_EXCLUSIVE,
  PTEB_WRITE,
  pageAt,
  pteIsKind,
  ptePayload,
} from '../../src/mm/index.ts';
import { kernelFileAt, type TextFile } from '../../src/proc/index.ts';
import { EINVAL, ENXIO } from '../../src/uapi/errno.ts';
import {
  __GFP_THISNODE,
  GFP_HIGHUSER_MOVABLE,
  GFP_KERNEL,
  GFP_NOWAIT,
} from '../../src/uapi/gfp.ts';
import { event, kernelTakes } from './machine.ts';

function onDevice(nr: number) {
  const b = new DeviceBench();
  const start = b.map(nr);
  b.store(start, nr);
  b.k.lru.drainAll();
  const vmstat = b.k.vmstat.snapshot();
  expect(b.mirror.migrateToDevice(b.task, start, nr).cpages).toBe(nr);
  return { b, k: b.k, start, vmstat };
}

function entryOf(b: DeviceBench, task: typeof b.task, vpn: number) {
  const at = task.mm!.pteIndex(vpn);
  return { word: b.k.ptes.words[at], byte: b.k.ptes.bytes[at] };
}

describe('private pages', () => {
  it('S-DM-03: another device that faults on a page gets it from system memory', () => {
    const { b, start } = onDevice(2);
    const device = DmirrorDevice.probe(b.k, { name: 'second', coherentPfn: -1, nid: 0 });
    const other = Dmirror.open(b.k, device, b.task);
    expect(other.snapshot(b.task, start, 2)).toEqual(['NONE', 'NONE']);
    expect(other.read(b.task, start, 2).words).toEqual([1, 2]);
    expect([b.onDevice(start, 2), b.live]).toEqual([0, 0]);
    expect(other.snapshot(b.task, start, 2)).toEqual(['WRITE', 'WRITE']);
    other.close();
    expect(device.release(b.task)).toBe(0);
    expect(b.end()).toEqual([]);
  });

  it('S-DM-12: private entries, rss the same, off the LRU, one reference, no pgmigrate_*', () => {
    const { b, k, start, vmstat } = onDevice(4);
    expect([b.onDevice(start, 4), b.task.mm!.rssAnon]).toEqual([4, 4]);
    for (let n = 0; n < 4; n++) {
      const page = ptePayload(entryOf(b, b.task, start + n).word);
      expect([k.frames.refcount[page], k.frames.has(page, PG_LRU)]).toEqual([1, false]);
    }
    const changed = (name: string) => event(k, name) - (vmstat.get(name) ?? 0);
    expect(['pgmigrate_success', 'pgmigrate_fail'].map(changed)).toEqual([0, 0]);
    expect(changed('nr_inactive_anon') + changed('nr_active_anon')).toBe(-4);
    expect(b.end()).toEqual([]);
  });

  it('S-DM-15: a CPU read brings the page to system memory; the driver has its page back', () => {
    const { b, k, start } = onDevice(1);
    const page = ptePayload(entryOf(b, b.task, start).word);
    const freed: number[] = [];
    const { folioFree } = b.device;
    b.device.folioFree = (head, order) => {
      freed.push(head);
      folioFree.call(b.device, head, order);
    };
    expect(b.loads(start, 1)).toEqual([1]);
    expect([freed, k.pm.isZoneDevice(pageAt(k, b.task.mm!, start))]).toEqual([[page], false]);
    expect(b.end()).toEqual([]);
  });

  it('S-DM-16: fails as the driver says: test_hmm FAULT_OOM, others FAULT_SIGBUS', () => {
    const { b, k, start } = onDevice(1);
    kernelTakes(k, 0, 0);
    expect(accessPage(k, b.task, start, false)).toBe(FAULT_OOM);
    b.device.migrateToRam = () => FAULT_SIGBUS;
    expect(accessPage(k, b.task, start, false)).toBe(FAULT_SIGBUS);
    expect([b.onDevice(start, 1), b.live]).toEqual([1, 1]);
  });

  it('S-DM-18: fork makes both entries read-only, with two mappings and two references', () => {
    const { b, k, start } = onDevice(1);
    expect(entryOf(b, b.task, start).byte & PTEB_WRITE).toBe(PTEB_WRITE);
    const child = b.fork().task;
    const entries = [entryOf(b, b.task, start), entryOf(b, child, start)];
    expect(entries.map(({ byte }) => byte & PTEB_WRITE)).toEqual([0, 0]);
    const page = ptePayload(entries[0].word);
    expect(ptePayload(entries[1].word)).toBe(page);
    expect([k.folios.mapcount(page), k.frames.refcount[page]]).toEqual([2, 2]);
    expect(b.end()).toEqual([]);
  });

  it('S-DM-19: munmap: rss falls, the driver has its pages back', () => {
    const { b, k, start } = onDevice(3);
    munmapRange(k, b.task.mm!, start, start + 2);
    expect([b.task.mm!.rssAnon, b.live]).toEqual([1, 1]);
    checkInvariants(k);
    expect(b.end()).toEqual([]);
  });

  it('S-DM-21: a huge page is split if COMPOUND is not asked for: 512 entries', () => {
    const b = new DeviceBench(PRIVATE, '6.12');
    const start = b.mapHuge();
    expect(b.mirror.migrateToDevice(b.task, start, 512).cpages).toBe(512);
    const page = ptePayload(entryOf(b, b.task, start).word);
    expect([b.onDevice(start, 512), b.k.folios.nrPages(page), b.live]).toEqual([512, 1, 512]);
    expect(b.end()).toEqual([]);
  });

  it('S-DM-24: part of a huge one unmapped: entries of its own, the folio stays large', () => {
    const b = new DeviceBench();
    const start = b.mapHuge();
    b.mirror.migrateToDevice(b.task, start, 512);
    const head = ptePayload(b.task.mm!.pmd[b.task.mm!.slotOf(start)]);
    munmapRange(b.k, b.task.mm!, start, start + 100);
    expect(b.task.mm!.pmd[b.task.mm!.slotOf(start)]).toBe(0);
    expect(ptePayload(entryOf(b, b.task, start + 100).word)).toBe(head + 100);
    expect([b.k.folios.nrPages(head), b.k.folios.mapcount(head), b.live]).toEqual([512, 412, 512]);
    checkInvariants(b.k);
    expect(b.end()).toEqual([]);
  });
});

describe('exclusive access', () => {
  it('S-DM-26: a CPU read restores the writable entry, and mirrors hear CLEAR', () => {
    const b = new DeviceBench();
    const { k, task } = b;
    const start = b.map(1);
    b.store(start, 1);
    const page = makeDeviceExclusive(k, task, start, b.device);
    k.putFolio(page);
    expect(pteIsKind(entryOf(b, task, start).word, PTE_KIND_DEVICE_EXCLUSIVE)).toBe(true);
    const heard: number[] = [];
    const listener = { invalidate: (range: { event: number }) => heard.push(range.event) };
    mmuIntervalInsert(new MmuInterval(task.mm!, start, start + 1, listener));
    expect(b.loads(start, 1)).toEqual([1]);
    expect(heard).toEqual([MMU_NOTIFY_CLEAR]);
    expect(pageAt(k, task.mm!, start)).toBe(page);
    expect(accessPage(k, task, start, true)).toBe(0);
    expect(heard).toHaveLength(1);
  });
});

describe('memremap_pages', () => {
  const nothing = { folioFree: () => {}, migrateToRam: () => FAULT_SIGBUS };
  const request = { type: MEMORY_DEVICE_PRIVATE, owner: nothing, nid: 0, nrPages: 32768 } as const;

  it('S-DM-28, DM-52: private memory without owner or migrate_to_ram is -EINVAL', () => {
    const { k } = new DeviceBench();
    const at = { ...request, startPfn: -1, ops: nothing };
    expect(memremapPages(k, { ...at, owner: null })).toBe(-EINVAL);
    expect(memremapPages(k, { ...at, ops: { folioFree: () => {} } })).toBe(-EINVAL);
    expect(memremapPages(k, at)).toMatchObject({ nrPages: 32768 });
  });

  it('S-DM-29, DM-52: over system memory it is -ENXIO', () => {
    const { k } = new DeviceBench();
    const { startPfn } = k.pm.zones[0];
    expect(memremapPages(k, { ...request, startPfn, ops: nothing })).toBe(-ENXIO);
  });
});

describe('a node of device memory', () => {
  const preset = NODE_PRESETS.find(({ name }) => name === 'cdm-2016')!;
  const probe = (capability: string) => {
    return NODE_PROBES.find((one) => one.capability === capability)!.happens;
  };

  it('S-DM-30: no fault falls back to it; __GFP_THISNODE and MPOL_BIND get there', () => {
    expect(probe('fallback')(new NodeStage(preset.capabilities, 1))).toBe(false);
    expect(probe('mempolicy')(new NodeStage(preset.capabilities, 1))).toBe(true);
    const { pm } = new NodeStage(preset.capabilities, 1).machine.k;
    const gfp = GFP_HIGHUSER_MOVABLE | __GFP_THISNODE;
    expect(pm.nidOf(allocPages(pm, 0, gfp, 1, -1))).toBe(1);
  });

  it('DM-101: nr_hugepages takes none of it, but by the file of the node', () => {
    const { k } = new NodeStage(preset.capabilities, 1).machine;
    k.hugetlb.resize(4, -1);
    expect([k.hugetlb.nrHuge[0], k.hugetlb.nrHuge[1]]).toEqual([4, 0]);
    k.hugetlb.resize(2, 1);
    expect([k.hugetlb.nrHuge[0], k.hugetlb.nrHuge[1]]).toEqual([4, 2]);
    const ordinary = new NodeStage(undefined, 1).machine.k;
    ordinary.hugetlb.resize(4, -1);
    expect([ordinary.hugetlb.nrHuge[0], ordinary.hugetlb.nrHuge[1]]).toEqual([2, 2]);
  });

  it('DM-100: in N_MEMORY; being ZONE_MOVABLE, it gives the kernel nothing', async () => {
    const { parseMachine } = await machineFileReader();
    const dram = '{kind: dram, cpus: 2, size: 256MiB, latency: 90ns, bandwidth: 50GB/s}';
    const device = dram.replace('dram, cpus: 2', 'hbm, movable: all, capabilities: cdm-2016');
    const text = `format: machine/1\nname: cdm\nnodes:\n  - ${dram}\n  - ${device}\n`;
    const k = new Kernel(parseMachine(text, 'cdm.yaml'), { seed: 1, trackContent: false });
    const file = kernelFileAt(k, '/sys/devices/system/node/has_memory') as TextFile;
    expect(file.text()).toBe('0-1\n');
    const thisNode = (gfp: number) => allocPages(k.pm, 0, gfp | __GFP_THISNODE, 1, -1);
    expect(thisNode(GFP_KERNEL)).toBeLessThan(0);
    expect(k.pm.nidOf(thisNode(GFP_HIGHUSER_MOVABLE))).toBe(1);
  });

  it('S-DM-31, DM-102: an allocation whose nodemask does not hold it passes over its zones', () => {
    const { k } = new NodeStage(preset.capabilities, 1).machine;
    expect(k.pm.nidOf(allocPages(k.pm, 0, GFP_HIGHUSER_MOVABLE, 1, 0b01))).toBe(0);
    kernelTakes(k, 0, 0);
    expect(allocPages(k.pm, 0, GFP_NOWAIT, 0, 0b01)).toBeLessThan(0);
    expect(allocPages(k.pm, 0, GFP_NOWAIT, 0, -1)).toBeLessThan(0);
  });
});
