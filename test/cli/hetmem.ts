/** bin/hetmem as tests run it: what is compiled already, without colours. */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { packageRoot } from '../../src/cli/packageRoot.ts';

export const BIN = join(packageRoot(), 'bin/hetmem');
export const ENV = { ...process.env, HETMEM_BUILD: 'never', NO_COLOR: '1' };

export function hetmem(...args: readonly string[]) {
  return hetmemIn(process.cwd(), args);
}

export function hetmemIn(cwd: string, args: readonly string[]) {
  const options = { encoding: 'utf8', env: ENV, cwd } as const;
  const done = spawnSync(process.execPath, [BIN, ...args], options);
  return { code: done.status, out: done.stdout, err: done.stderr };
}
