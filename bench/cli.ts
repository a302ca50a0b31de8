/**
 * CPU time (user + system) of `hetmem --help` as a whole process, from a checkout: what every call
 * of the command line costs before it does anything. Against Node doing nothing.
 */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { packageRoot } from '../src/cli/packageRoot.ts';
import { type Figure, figure, significant } from './support/figure.ts';
import { fastestSeconds } from './support/sideBySide.ts';

const ROUNDS = 15;

/** Seconds of CPU of one run, by bash's `time`: Node does not tell the usage of its children. */
function cpuSeconds(args: readonly string[]): number {
  const script = 'TIMEFORMAT="%3U %3S"; time "$@" >/dev/null';
  const done = spawnSync('bash', ['-c', script, 'bash', process.execPath, ...args], {
    encoding: 'utf8',
  });
  if (done.status !== 0) throw new Error(`${args.join(' ')}: ${done.stderr}${done.error ?? ''}`);
  const [user, system] = done.stderr.trim().split(' ').map(Number);
  return user + system;
}

export async function figures(): Promise<Figure[]> {
  const bin = join(packageRoot(), 'bin/hetmem');
  const [help, nothing] = await fastestSeconds(ROUNDS, [
    () => cpuSeconds([bin, '--help']),
    () => cpuSeconds(['-e', '0']),
  ]);
  const other = { what: 'node -e 0', value: nothing };
  return [figure('cli/help', significant(help), 's CPU', other)];
}
