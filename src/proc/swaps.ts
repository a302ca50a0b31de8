/**
 * /proc/swaps (mm/swapfile.c: swap_show). Sizes in KiB.
 *
 * Not modelled: what the area lies on: it is shown as the first zram device; priorities: -1.
 */
import { UserError } from '../base/assert.ts';
import { PAGE_SIZE } from '../base/units.ts';
import type { Kernel } from '../mm/index.ts';

export interface SwapRow {
  readonly filename: string;
  readonly type: string;
  readonly sizeKib: number;
  readonly usedKib: number;
  readonly priority: number;
}

const HEAD = 'Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n';
const NAME_COLUMNS = 40;
/** From here on a number takes two tab stops. */
const WIDE_KIB = 10000000;

/** The model's swap area, if it has one. */
export function swapsOf(k: Kernel): SwapRow[] {
  const kib = PAGE_SIZE / 1024;
  if (k.swap.nrSlots === 0) return [];
  const sizes = { sizeKib: k.swap.nrSlots * kib, usedKib: k.swap.used * kib };
  return [{ filename: '/dev/zram0', type: 'partition', ...sizes, priority: -1 }];
}

export function formatSwaps(rows: readonly SwapRow[]): string {
  const tabs = (kib: number) => (kib < WIDE_KIB ? `${kib}\t\t` : `${kib}\t`);
  const lines = rows.map(({ filename, type, sizeKib, usedKib, priority }) => {
    const name = filename.length < NAME_COLUMNS ? filename.padEnd(NAME_COLUMNS) : `${filename} `;
    const kind = type === 'file' ? 'file\t' : type;
    return `${name}${kind}\t${tabs(sizeKib)}${tabs(usedKib)}${priority}\n`;
  });
  return HEAD + lines.join('');
}

/** Errors: UserError with the line that is no swap area. */
export function parseSwaps(text: string, file = '/proc/swaps'): SwapRow[] {
  const lines = text.split('\n').slice(1);
  return lines.flatMap((line, i) => {
    if (line === '') return [];
    const match = /^(\S+)\s+(partition|file)\t+(\d+)\t+(\d+)\t+(-?\d+)$/.exec(line);
    if (match === null) {
      throw new UserError(`${file}:${i + 2}`, `"${line}" is no swap area`, 'remove it');
    }
    const [, filename, type, size, used, priority] = match;
    const sizes = { sizeKib: Number(size), usedKib: Number(used) };
    return [{ filename, type, ...sizes, priority: Number(priority) }];
  });
}
