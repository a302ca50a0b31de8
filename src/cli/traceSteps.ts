/**
 * What the trace commands share: long work in steps with progress and ^C, options, sizes.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { UserError } from '../base/assert.ts';
import type { Codec } from '../trace/index.ts';
import { OutputFile } from './outputFile.ts';
import { Progress } from './progress.ts';

/** Signal handlers run between turns only: at least every so often (README). */
const TURN_MS = 50;

/** Runs `steps` to the end; each yields how much of `total` is done. */
export async function drive<Result>(
  steps: Generator<number, Result, void>,
  label: string,
  total: number,
): Promise<Result> {
  const progress = new Progress(label);
  let lastMs = performance.now();
  try {
    for (;;) {
      const step = steps.next();
      if (step.done === true) return step.value;
      if (performance.now() - lastMs < TURN_MS) continue;
      progress.update(step.value, Number.isFinite(total) ? total : 0);
      await nextTurn();
      lastMs = performance.now();
    }
  } finally {
    progress.clear();
  }
}

/** Gives `work` a new file; it appears at `path` when `work` is done, not at all if it fails. */
export async function withOutput<Result>(
  path: string,
  force: boolean | undefined,
  work: (output: OutputFile) => Promise<Result>,
): Promise<Result> {
  const output = new OutputFile(path, { force: force === true });
  try {
    const result = await work(output);
    output.commit();
    return result;
  } catch (error) {
    output.discard();
    throw error;
  }
}

/** The codec of --codec. Errors: UserError. */
export async function codecOf(name: string): Promise<Codec> {
  const { CODEC_NAMES, codecNamed } = await import('../live/index.ts');
  const known = CODEC_NAMES.find((codec) => codec === name);
  if (known !== undefined) return codecNamed(known);
  throw new UserError(`--codec ${name}`, 'no such compression', CODEC_NAMES.join(', '));
}

/** Bytes as people say them: 7.4 MiB. */
export function sizeText(bytes: number): string {
  const units = ['bytes', 'KiB', 'MiB', 'GiB', 'TiB'];
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${unit === 0 ? value : value.toFixed(1)} ${units[unit]}`;
}

/** 12345678 as 12,345,678. */
export function countText(value: number): string {
  return value.toLocaleString('en', { maximumFractionDigits: 0 });
}
