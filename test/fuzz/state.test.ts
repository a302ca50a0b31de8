/** A smoke run of saved histories, and canaries: state that is lost must be noticed. */
import { describe, expect, it } from 'vitest';
import { fuzzSaved } from './state/savedHistory.ts';

/** A few seconds on a machine that has nothing else to do. */
const BUSY_MACHINE = { timeout: 180_000 };

describe('a kernel saved in the middle of a history', BUSY_MACHINE, () => {
  it('goes on as the one it was saved from, to the byte', () => {
    expect(fuzzSaved(11, 8)).toBeNull();
  });
});
