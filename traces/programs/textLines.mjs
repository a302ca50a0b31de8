/** Lines of text with a random key in front, for a program to sort. */
import { closeSync, openSync, writeSync } from 'node:fs';
import { xorshift } from './xorshift.mjs';

const BATCH = 4096;
const LENGTH_SPREAD = 80;

/**
 * Writes `nrLines` lines of about `lineBytes` bytes to `path`.
 *
 * @param {string} path
 * @param {number} nrLines
 * @param {number} lineBytes
 */
export function writeTextLines(path, nrLines, lineBytes) {
  const draw = xorshift(88172645);
  const fd = openSync(path, 'w');
  for (let start = 0; start < nrLines; start += BATCH) {
    const lines = [];
    for (let i = start; i < Math.min(nrLines, start + BATCH); i++) {
      const key = draw(2 ** 32)
        .toString(36)
        .padStart(7, '0');
      lines.push(
        `${key} order ${i} `.padEnd(lineBytes - LENGTH_SPREAD / 2 + draw(LENGTH_SPREAD), '.'),
      );
    }
    writeSync(fd, `${lines.join('\n')}\n`);
  }
  closeSync(fd);
}
