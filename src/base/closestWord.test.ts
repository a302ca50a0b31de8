import { expect, it } from 'vitest';
import { suggestion } from './closestWord.ts';

it('suggests the closest known word, else what is known', () => {
  const known = ['hemem', 'memtis', 'tpp'];
  expect(suggestion('hemen', known)).toBe('did you mean hemem?');
  expect(suggestion('MEMTIS', known, 'see the list')).toBe('did you mean memtis?');
  expect(suggestion('oracle', known)).toBe('known: hemem, memtis, tpp');
  expect(suggestion('oracle', known, 'see the list')).toBe('see the list');
  expect(suggestion('oracle', ['', 'tpp'])).toBe('known: tpp');
  expect(suggestion('oracle', [])).toBe('there are none');
});
