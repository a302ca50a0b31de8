/** C6, TI-92: round trips by page. */
import { describe, expect, it } from 'vitest';
import { bootNodes, TestProgram } from '../mm/testProgram.ts';
import { ZONE_NORMAL } from '../uapi/zone.ts';
import { RoundTrips } from './roundTrips.ts';

function boot(): TestProgram {
  return new TestProgram(bootNodes([{ cpus: [0], zones: [{ zone: ZONE_NORMAL, pages: 2048 }] }]));
}

describe('RoundTrips', () => {
  it('counts by page and names the worst with who maps them', () => {
    const p = boot();
    const trips = new RoundTrips(p.k);
    const vpn = p.mapWritten(12);
    for (let page = 0; page < 12; page++) {
      for (let n = 0; n <= page; n++) trips.add(page, p.frame(vpn + page), 1);
    }
    // 1; 2, 3; 4 to 7; 8 to 12.
    expect(trips.histogram()).toEqual([1, 2, 4, 5]);
    const worst = trips.restless();
    expect(worst.map(({ roundTrips }) => roundTrips)).toEqual([12, 11, 10, 9, 8, 7, 6, 5]);
    expect(worst[0]).toMatchObject({ pid: p.task.tgid, vpn: vpn + 11, nrPages: 1 });
  });
});
