import { describe, expect, it } from 'vitest';
import {
  formatBandwidth,
  formatBytes,
  formatCount,
  formatNs,
  formatShare,
  formatSlowdown,
  formatWhole,
} from './format.ts';

describe('numbers', () => {
  it.each([
    [formatBytes, 0, '0 B'],
    [formatBytes, 512, '512 B'],
    [formatBytes, 1536, '1.50 KiB'],
    [formatBytes, 64 * 1024 ** 3, '64.0 GiB'],
    [formatBytes, 1023.99 * 1024 ** 2, '1.00 GiB'],
    [formatNs, 0, '0 ns'],
    [formatNs, 0.4, '0.40 ns'],
    [formatNs, 108.4, '108 ns'],
    [formatNs, 236, '236 ns'],
    [formatNs, 1_234_567, '1.23 ms'],
    [formatNs, 999_960, '1.00 ms'],
    [formatNs, 2_500_000_000, '2.50 s'],
    [formatCount, 0, '0'],
    [formatCount, 9999, '9,999'],
    [formatCount, 12_345, '12.3 k'],
    [formatCount, 145_000_000, '145 M'],
    [formatWhole, 1_234_567, '1,234,567'],
    [formatWhole, -1234, '-1,234'],
    [formatShare, 0.1234, '12.3 %'],
    [formatShare, 0, '0.0 %'],
    [formatShare, 0.0004, '<0.1 %'],
    [formatSlowdown, 1.071, '1.07×'],
    [formatBandwidth, 25.4, '25.4 GB/s'],
    [formatBandwidth, 246, '246 GB/s'],
  ])('%o of %d is %s', (format, value, text) => {
    expect(format(value)).toBe(text);
  });
});
