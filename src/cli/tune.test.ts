import { describe, expect, it } from 'vitest';
import { comparing } from './tune.ts';

describe('comparing', () => {
  it('begins with the knobs that were given, not with the defaults', () => {
    const params = { unit: '4KiB', source: 'hint-faults' };
    const tuning = { policy: 'memtis', params, ratio: '1:2', machine: 'dram-cxl-asic' };
    expect(comparing(tuning, 'memtis:unit=4KiB', ['gups:size=32', 'my trace.hmt'])).toBe(
      "hetmem compare gups:size=32 'my trace.hmt' --ratio 1:2 --machine dram-cxl-asic " +
        '--policy memtis:unit=4KiB,memtis:unit=4KiB:source=hint-faults',
    );
  });
});
