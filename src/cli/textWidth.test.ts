import { describe, expect, it } from 'vitest';
import { wrapped } from './textWidth.ts';

describe('wrapped', () => {
  it('breaks between words only', () => {
    expect(wrapped('one two three', 7)).toBe('one two\nthree');
    expect(wrapped('incomprehensibly long', 4)).toBe('incomprehensibly\nlong');
  });

  it('indents all lines but the first', () => {
    expect(wrapped('one two three', 3, '  ')).toBe('one\n  two\n  three');
  });
});
