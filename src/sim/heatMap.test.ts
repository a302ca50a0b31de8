import { describe, expect, it } from 'vitest';
import { accessPage, Kernel, mmapRegion } from '../mm/index.ts';
import { plainMachine } from '../mm/plainMachine.ts';
import { MAP_ANONYMOUS, MAP_FIXED, MAP_PRIVATE, PROT_READ, PROT_WRITE } from '../uapi/mman.ts';
import { ZONE_NORMAL } from '../uapi/zone.ts';
import { HeatMap } from './heatMap.ts';

const START = 2 ** 20;

/** A process with two regions of 512 pages, all of them on node 0. */
function stage() {
  const zones = [{ zone: ZONE_NORMAL, pages: 8192 }];
  const spec = plainMachine(
    [
      { cpus: [0], zones },
      { cpus: [], zones },
    ],
    { sysctl: { thp_enabled: 'never' } },
  );
  const k = new Kernel(spec, { seed: 1, trackContent: false });
  const task = k.spawn(null, 0);
  const mm = task.mm!;
  const flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;
  const prot = PROT_READ | PROT_WRITE;
  mmapRegion(k, mm, { addr: START, pages: 1024, prot, flags, file: null, pgoff: 0 });
  for (let page = 0; page < 1024; page++) accessPage(k, task, START + page, true);
  const slots = Int32Array.from([0, 512], (page) => mm.ensureSlot(START + page));
  const map = new HeatMap(k);
  /** `n` accesses of a region that a node served. */
  const access = (region: number, nid: number, n: number): void => {
    map.openOf(0, mm, slots, 2, n)[(region << map.nodeBits) | nid] += n;
  };
  return { map, access };
}

describe('HeatMap', () => {
  it('says who served most accesses of an interval, or holds the memory if there were none', () => {
    const { map, access } = stage();
    access(0, 0, 3);
    access(0, 1, 5);
    access(1, 0, 1);
    map.close();
    map.close();
    const { rows, columns, rowVpn, accesses, node } = map.result();
    expect([rows, columns, rowVpn]).toEqual([2, 2, [START, START + 512]]);
    expect(accesses).toEqual([8, 0, 1, 0]);
    expect(node).toEqual([1, 0, 0, 0]);
  });

  it('joins two intervals to one of both: the busier one says who served', () => {
    const { map, access } = stage();
    access(0, 1, 9);
    map.close();
    access(0, 0, 2);
    map.close();
    map.merge();
    const { columns, accesses, node } = map.result();
    expect([columns, accesses, node]).toEqual([1, [11], [1]]);
  });

  it('leaves out regions that nobody accessed, and counts beyond 31 bits', () => {
    const { map, access } = stage();
    for (let n = 0; n < 20; n++) access(1, 0, 2 ** 28);
    map.close();
    const { rows, rowVpn, accesses } = map.result();
    expect([rows, rowVpn, accesses]).toEqual([1, [START + 512], [20 * 2 ** 28]]);
  });
});
