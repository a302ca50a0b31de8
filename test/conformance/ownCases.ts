/** hetmem's own cases, their machines, and what the model is known to answer otherwise. */
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type CaseMachines, parseCases } from '../../src/conform/index.ts';

interface Deviation {
  readonly id: string;
  /** The version on which it is seen. */
  readonly kernel: string;
  readonly reason: string;
  /** What it would take to remove it. */
  readonly remedy: string;
}

const folder = dirname(fileURLToPath(import.meta.url));
const read = (name: string) => readFileSync(join(folder, name), 'utf8');

export const machines = JSON.parse(read('machines.json')) as CaseMachines;
export const deviations = JSON.parse(read('deviations.json')) as readonly Deviation[];
export const cases = readdirSync(join(folder, 'cases'))
  .sort()
  .flatMap((name) => parseCases(read(`cases/${name}`), name));

export function deviates(id: string, kernel: string): boolean {
  return deviations.some((one) => one.id === id && one.kernel === kernel);
}
