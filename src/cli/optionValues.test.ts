import { describe, expect, it } from 'vitest';
import { decimalOrHex, listOf, parseCount, shareOf, wholeNumber } from './optionValues.ts';

describe('values of options', () => {
  it('are lists', () => {
    expect(listOf('a,,b,')).toEqual(['a', 'b']);
    expect(listOf('')).toEqual([]);
  });

  it('are whole numbers between two bounds', () => {
    expect(['1', '08', '9'].map((text) => wholeNumber('--n', text, 1, 9))).toEqual([1, 8, 9]);
    for (const text of ['0', '10', '', '-1', '1.5', '1e0', '0x1', ' 1']) {
      const message = `--n ${text}: is not a whole number from 1 to 9`;
      expect(() => wholeNumber('--n', text, 1, 9), text).toThrow(message);
    }
  });

  it('are numbers, decimal or hexadecimal', () => {
    expect(['0', '10', '0x1F'].map((text) => decimalOrHex('--n', text))).toEqual([0, 10, 31]);
    for (const text of ['', '-1', '1f', '0x', '1.5']) {
      expect(() => decimalOrHex('--n', text), text).toThrow(`--n ${text}: is no whole number`);
    }
  });

  it('are counts', () => {
    const texts = ['0', '12', '5k', '1.5M', '2g'];
    expect(texts.map((text) => parseCount('--n', text))).toEqual([0, 12, 5e3, 1.5e6, 2e9]);
    for (const text of ['', 'k', '-1', '1t', '1e3', '99999999999g']) {
      expect(() => parseCount('--n', text), text).toThrow(`--n ${text}: is no number`);
    }
    expect(() => parseCount('--n', '0', 1)).toThrow('--n 0: is no number');
  });

  it('are shares, of which nobody has to guess whether 5 is 5 % or 500 %', () => {
    const isFit = (share: number) => share > 0 && share <= 10;
    expect(() => shareOf('--slowdown', '5', isFit)).toThrow(
      '--slowdown 5: is a share above 1 without its % (5% or, if it is meant, 500%)',
    );
    expect(['5%', '500%', '1'].map((text) => shareOf('--s', text, isFit))).toEqual([0.05, 5, 1]);
  });

  it('are shares', () => {
    const isFit = (share: number) => share > 0 && share < 1;
    expect(['5%', '0.05', '12.5%'].map((text) => shareOf('--s', text, isFit))).toEqual([
      0.05, 0.05, 0.125,
    ]);
    for (const text of ['', '0', '100%', '1', '-5%', 'x', '5 %']) {
      expect(() => shareOf('--s', text, isFit), text).toThrow(`--s ${text}: is no share`);
    }
  });
});
