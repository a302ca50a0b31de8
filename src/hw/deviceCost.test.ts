/** Device costs against what Xe's shared virtual memory was measured to take. */
import { describe, expect, it } from 'vitest';
import { HPAGE_PMD_NR } from '../base/units.ts';
import {
  DEVICE_COST_DEFAULTS,
  deviceAccessNs,
  deviceCopyNs,
  deviceFaultNs,
  deviceLinksNs,
  linkTo,
  nearestNode,
  PUBLISHED_DEVICE_FAULTS,
} from './deviceCost.ts';

const COST = DEVICE_COST_DEFAULTS;
const TWO_MIB = 2 ** 21;

describe('device costs', () => {
  it('meet both published faults on 2 MiB (dri-devel msg582687)', () => {
    for (const row of PUBLISHED_DEVICE_FAULTS) {
      expect(deviceFaultNs(COST, TWO_MIB, row.pieces)).toBeCloseTo(row.pagefaultNs, 3);
      expect(deviceCopyNs(COST, TWO_MIB, row.pieces)).toBeCloseTo(row.copyNs, 3);
    }
  });

  it('say that one large folio spends 80 % of its fault copying, 512 pages 23 %', () => {
    const share = (pieces: number) => {
      return deviceCopyNs(COST, TWO_MIB, pieces) / deviceFaultNs(COST, TWO_MIB, pieces);
    };
    expect(share(1)).toBeCloseTo(0.8, 1);
    expect(share(HPAGE_PMD_NR)).toBeCloseTo(0.23, 2);
  });

  it('make remote accesses as slow as the link once many are in flight', () => {
    const accesses = 1e6;
    const remote = deviceAccessNs(COST, accesses, true);
    expect(remote).toBeCloseTo((accesses * COST.accessBytes) / COST.linkBandwidth, 0);
    expect(deviceAccessNs(COST, 1, true)).toBe(COST.linkLatencyNs);
    expect(deviceAccessNs(COST, 1, false)).toBe(COST.localLatencyNs);
    expect(remote).toBeGreaterThan(deviceAccessNs(COST, accesses, false));
  });
});

describe('devices with several links (A8)', () => {
  const slow = { nid: 0, latencyNs: 1_200, bandwidth: 5 };
  const fast = { nid: 1, latencyNs: 1_000, bandwidth: 20 };
  const LOTS = 1 << 20;

  it('the nearest node is that of the least latency, of two alike the wider', () => {
    expect(nearestNode([slow, fast])).toBe(1);
    expect(nearestNode([{ ...slow, latencyNs: 1_000 }, fast])).toBe(1);
    expect(nearestNode([])).toBe(-1);
  });

  it('a node without a link of its own is reached as the costs say', () => {
    expect(linkTo(COST, [slow, fast], 1)).toBe(fast);
    expect(linkTo(COST, [slow, fast], 2)).toEqual({
      nid: 2,
      latencyNs: COST.linkLatencyNs,
      bandwidth: COST.linkBandwidth,
    });
  });

  it('many accesses take as long as the busiest link', () => {
    const both = [
      { link: slow, accesses: LOTS },
      { link: fast, accesses: 4 * LOTS },
    ];
    expect(deviceLinksNs(COST, both)).toBeCloseTo((LOTS * COST.accessBytes) / 5, 0);
    expect(deviceLinksNs(COST, [])).toBe(0);
  });

  it('few accesses take the latency; more in flight than the device can wait', () => {
    expect(deviceLinksNs(COST, [{ link: fast, accesses: 1 }])).toBe(1_000);
    const narrow = { ...COST, parallelism: 1, accessBytes: 1 };
    expect(deviceLinksNs(narrow, [{ link: fast, accesses: 8 }])).toBe(8_000);
  });
});
