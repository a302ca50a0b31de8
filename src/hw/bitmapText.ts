/**
 * Sets of nodes and CPUs as text: lists (%*pbl, "0-3,8") both ways, masks (%*pb) as printed
 * (lib/bitmap-str.c; nodelist_parse and cpulist_parse are bitmap_parselist).
 *
 * A region of a list is a number, a range or "all"; N is the last number there can be;
 * ":used/group" behind a range takes the first `used` numbers of every `group`. Commas and white
 * space stand between regions, and any number of them anywhere else; no region is the empty set.
 */
import { EINVAL, EOVERFLOW, ERANGE } from '../uapi/errno.ts';

const REGION = /^(?:(\d+|N)(?:-(\d+|N)(?::(\d+|N)\/(\d+|N))?)?|[Aa][Ll]{2}(?::(\d+|N)\/(\d+|N))?)$/;
const NUMBER_MAX = 0xffffffff;

/**
 * The numbers of a list, ascending; all are below `nrBits`. Errors: -EINVAL for what is no list or
 * a range that is backwards, -ERANGE for numbers from `nrBits` on, -EOVERFLOW beyond 32 bits.
 */
export function parseBitmapList(text: string, nrBits: number): number[] | number {
  const numbers = new Set<number>();
  for (const part of text.split(/[\s,]+/).filter((word) => word !== '')) {
    const match = REGION.exec(part);
    if (match === null) return -EINVAL;
    const numberOf = (word: string) => (word === 'N' ? nrBits - 1 : Number(word));
    const first = numberOf(match[1] ?? '0');
    const last = numberOf(match[2] ?? match[1] ?? 'N');
    const used = numberOf(match[3] ?? match[5] ?? `${last + 1}`);
    const group = numberOf(match[4] ?? match[6] ?? `${last + 1}`);
    if (match.some((word) => Number(word) > NUMBER_MAX)) return -EOVERFLOW;
    if (first > last || group === 0 || used > group) return -EINVAL;
    if (last >= nrBits) return -ERANGE;
    for (let n = first; n <= last; n++) if ((n - first) % group < used) numbers.add(n);
  }
  return [...numbers].sort((a, b) => a - b);
}

/** A node mask as a list of ranges: 0-2,5. */
export function nodeList(mask: number): string {
  const nids: number[] = [];
  for (let nid = 0; nid < 32; nid++) if (((mask >>> nid) & 1) !== 0) nids.push(nid);
  return rangeList(nids);
}

/** Ascending numbers as ranges: 0-2,5. */
export function rangeList(numbers: readonly number[]): string {
  const parts: string[] = [];
  for (let i = 0; i < numbers.length; i++) {
    const first = numbers[i];
    while (numbers[i + 1] === numbers[i] + 1) i++;
    parts.push(first === numbers[i] ? `${first}` : `${first}-${numbers[i]}`);
  }
  return parts.join(',');
}

/** Numbers below `nrBits` as hexadecimal words of 32 bits, the highest first: 00000003,ffffffff. */
export function maskText(numbers: readonly number[], nrBits: number): string {
  const words = new Uint32Array(Math.max(Math.ceil(nrBits / 32), 1));
  for (const number of numbers) words[number >>> 5] |= 1 << (number & 31);
  const topDigits = Math.ceil((((nrBits - 1) % 32) + 1) / 4);
  return [...words]
    .map((word, i) => word.toString(16).padStart(i === words.length - 1 ? topDigits : 8, '0'))
    .reverse()
    .join(',');
}
