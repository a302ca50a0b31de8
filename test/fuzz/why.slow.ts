/** What hetmem why says of random machines is what the calls then do. */
import { describe, expect, it } from 'vitest';
import { fuzzWhy, newTally } from './why/askAndDo.ts';
import { fuzzRanges } from './why/contigRanges.ts';
import { fuzzBlocks, type Verdicts } from './why/offlineBlocks.ts';

/** A few seconds each on a machine that has nothing else to do. */
const BUSY_MACHINE = { timeout: 180_000 };

describe('answers of src/why', BUSY_MACHINE, () => {
  it('are what move_pages and mbind do on a copy (MP-1..MP-39, MP-76..MP-92)', () => {
    const tally = newTally();
    expect(fuzzWhy(5, 100, tally)).toBeNull();
    expect(tally.asked).toBeGreaterThan(500);
    expect(tally.moved).toBeGreaterThan(50);
    // An answer that is never certain could never be wrong.
    expect(tally.certain / tally.asked).toBeGreaterThan(0.95);
    expect([...tally.compaction.keys()]).toContain('pinned');
    for (const cause of ['pinned', 'shared', 'folio-locked', 'not-in-cpuset', 'zero-page']) {
      expect([...tally.causes.keys()]).toContain(cause);
    }
  });

  it('are what offlining a memory block comes to (PM-60, PM-61, PM-70, PM-71)', () => {
    const verdicts: Verdicts = new Map();
    expect(fuzzBlocks(3, 80, verdicts)).toBeNull();
    for (const verdict of ['refused at once: -EBUSY', 'tries for ever: -EINTR with a signal']) {
      expect(verdicts.get(verdict)).toBeGreaterThan(5);
    }
    expect(verdicts.get('did go offline')).toBeGreaterThan(verdicts.get('goes offline')! / 2);
  });

  it('are what a range of frames and a CMA area come to (PM-60, PM-80..PM-83)', () => {
    const verdicts: Verdicts = new Map();
    expect(fuzzRanges(4, 50, verdicts)).toBeNull();
    for (const verdict of [
      'refused at once: -EBUSY',
      'fails after everything else has moved: -EBUSY',
      'can be had',
      'gives',
      'area fails',
    ]) {
      expect(verdicts.get(verdict), verdict).toBeGreaterThan(1);
    }
  });
});
