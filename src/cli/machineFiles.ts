/**
 * Machines by name or by file: the shipped ones in machines/ of the package, or a path.
 */
import { existsSync, readdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import { UserError } from '../base/assert.ts';
import { suggestion } from '../base/closestWord.ts';
import type { MachineSpec } from '../hw/index.ts';
import { packageRoot } from './packageRoot.ts';
import { readText } from './textFile.ts';

function machineFolder(): string {
  return join(packageRoot(), 'machines');
}

const REMEDY = 'hetmem machine list names the shipped ones';

/** Names of the shipped machines, sorted. */
export function machineNames(): string[] {
  return readdirSync(machineFolder())
    .filter((name) => name.endsWith('.yaml'))
    .map((name) => basename(name, '.yaml'))
    .sort();
}

/**
 * The machine called `nameOrPath`: a path if it has a slash or ends in .yaml or .yml, else the name
 * of a shipped machine (or of a file in the current folder).
 * Errors: UserError for an unknown name, an unreadable file, a wrong machine.
 */
export async function readMachine(nameOrPath: string): Promise<MachineSpec> {
  const { parseMachine } = await (await import('../hw/index.ts')).machineFileReader();
  const isPath = /[/\\]|\.ya?ml$/.test(nameOrPath);
  const shipped = join(machineFolder(), `${nameOrPath}.yaml`);
  if (!isPath && existsSync(shipped)) return parseMachine(readText(shipped, REMEDY), shipped);
  if (isPath || existsSync(nameOrPath))
    return parseMachine(readText(nameOrPath, REMEDY), nameOrPath);
  const remedy = suggestion(nameOrPath, machineNames(), REMEDY);
  throw new UserError(nameOrPath, 'no shipped machine and no file of this name', remedy);
}
