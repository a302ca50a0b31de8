import { describe, expect, it } from 'vitest';
import { EINVAL, EOVERFLOW, ERANGE } from '../uapi/errno.ts';
import { parseBitmapList } from './bitmapText.ts';

const BITS = 32;

describe('lists of nodes and CPUs (lib/bitmap-str.c: bitmap_parselist)', () => {
  it.each([
    ['0', [0]],
    ['31', [31]],
    ['2,0-1', [0, 1, 2]],
    ['0-2,2,5', [0, 1, 2, 5]],
    ['1 3\t4\n', [1, 3, 4]],
    [',,1,,2,', [1, 2]],
    ['', []],
    [' , ', []],
    ['N', [31]],
    ['30-N', [30, 31]],
    ['all', Array.from({ length: BITS }, (_, i) => i)],
    ['ALL:1/16', [0, 16]],
    ['0-9:2/4', [0, 1, 4, 5, 8, 9]],
    ['3-9:0/4', []],
  ])('%j', (text, numbers) => {
    expect(parseBitmapList(text, BITS)).toEqual(numbers);
  });

  it.each([
    ['1-', -EINVAL],
    ['-1', -EINVAL],
    ['x', -EINVAL],
    ['0x1', -EINVAL],
    ['1.5', -EINVAL],
    ['2-1', -EINVAL],
    ['40-33', -EINVAL],
    ['0-3:1', -EINVAL],
    ['3:1/2', -EINVAL],
    ['0-3:1/0', -EINVAL],
    ['0-3:3/2', -EINVAL],
    ['all-3', -EINVAL],
    ['32', -ERANGE],
    ['0-32', -ERANGE],
    ['0-4294967295', -ERANGE],
    ['4294967296', -EOVERFLOW],
    ['0-99999999999', -EOVERFLOW],
    ['0-3:1/4294967296', -EOVERFLOW],
  ])('%j is error %i', (text, error) => {
    expect(parseBitmapList(text, BITS)).toBe(error);
  });
});
