/** What hetmem why says of random machines is what the calls then do. */
import { describe, expect, it } from 'vitest';
import { fuzzWhy, newTally } from './why/askAndDo.ts';

describe('answers of src/why', () => {
  it('are what move_pages and mbind do on a copy (MP-1..MP-39, MP-76..MP-92)', () => {
    const tally = newTally();
    expect(fuzzWhy(5, 100, tally)).toBeNull();
    expect(tally.asked).toBeGreaterThan(500);
    expect(tally.moved).toBeGreaterThan(50);
    // An answer that is never certain could never be wrong.
    expect(tally.certain / tally.asked).toBeGreaterThan(0.95);
    for (const cause of ['pinned', 'shared', 'folio-locked', 'not-in-cpuset', 'zero-page']) {
      expect([...tally.causes.keys()]).toContain(cause);
    }
  });
});
