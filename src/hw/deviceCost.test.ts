/** Device costs against what Xe's shared virtual memory was measured to take. */
import { describe, expect, it } from 'vitest';
import { HPAGE_PMD_NR } from '../base/units.ts';
import {
  DEVICE_COST_DEFAULTS,
  deviceAccessNs,
  deviceCopyNs,
  deviceFaultNs,
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
