/** Sets of nodes and CPUs as the kernel prints them: lists (%*pbl) and masks (%*pb). */

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
