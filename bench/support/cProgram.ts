/**
 * C programs of bench/, which figures are compared with: compiled with the machine's gcc when they
 * are older than their source, into dist-bench/c/.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { packageRoot } from '../../src/cli/packageRoot.ts';

/** For `against` of a figure when cProgram returned null. */
export const NO_GCC = 'C loop: not run, gcc is not installed';

/**
 * The path of the program compiled from bench/`name`.c, or null without gcc.
 * Throws Error with gcc's messages if it does not compile.
 */
export function cProgram(name: string, flags: readonly string[] = ['-O2']): string | null {
  const source = join(packageRoot(), 'bench', `${name}.c`);
  const folder = join(packageRoot(), 'dist-bench/c');
  const program = join(folder, `${name}${flags.join('')}`);
  const built = statSync(program, { throwIfNoEntry: false });
  if (built !== undefined && built.mtimeMs > statSync(source).mtimeMs) return program;
  mkdirSync(folder, { recursive: true });
  const args = [...flags, '-Wall', '-o', program, source, '-lm'];
  const gcc = spawnSync('gcc', args, { encoding: 'utf8' });
  if (gcc.error !== undefined) return null;
  if (gcc.status !== 0) throw new Error(`gcc ${args.join(' ')}\n${gcc.stderr}`);
  return program;
}
