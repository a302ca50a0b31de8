/** What programs of cases write: a word for each page, never zero (a zero page may be dropped). */

/** Content of all pages with `fill: same`: bytes of 0x5a. */
export const SAME_WORD = 0x5a5a5a5a;

/** Content of page `index` of a region or file. */
export function wordOfPage(index: number): number {
  return (Math.imul(index + 1, 0x9e3779b1) | 1) >>> 0;
}

/** Byte `offset` of a page whose content is `word`, over and over. */
export function byteOf(word: number, offset: number): number {
  return (word >>> (8 * (offset % 4))) & 0xff;
}
