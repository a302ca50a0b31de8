/** A smoke run of saved histories, and canaries: state that is lost must be noticed. */
import { describe, expect, it } from 'vitest';
import { fuzzSaved } from './state/savedHistory.ts';

describe('a kernel saved in the middle of a history', () => {
  it('goes on as the one it was saved from, to the byte', () => {
    expect(fuzzSaved(11, 20)).toBeNull();
  });
});
