/**
 * Programs outside npm that some jobs can use: recording needs qemu-user and a C compiler, the
 * ratios of the benches a C compiler. Nothing else does, so a missing one is said, never an error.
 */
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';

/** @typedef {{ program: string, debianPackage: string, skipped: Record<string, string> }} Need */

/** @type {Need[]} */
export const NEEDS = [
  {
    program: 'gcc',
    debianPackage: 'gcc libc6-dev',
    skipped: {
      test: 'tests that record a program',
      bench: 'the C loops that replay/ figures are compared with',
    },
  },
  {
    program: 'qemu-x86_64',
    debianPackage: 'qemu-user',
    skipped: { test: 'tests that record a program' },
  },
];

/** @param {string} program */
export function isOnPath(program) {
  return (process.env.PATH ?? '').split(delimiter).some((folder) => {
    try {
      accessSync(join(folder, program), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

/**
 * One line on stderr for each missing program that `job` would use.
 * @param {string} job
 */
export function sayWhatIsMissing(job) {
  for (const need of NEEDS) {
    const skipped = need.skipped[job];
    if (skipped === undefined || isOnPath(need.program)) continue;
    process.stderr.write(
      `hetmem: ${need.program} is not installed; skipped for it: ${skipped} ` +
        `(Debian: apt-get install ${need.debianPackage})\n`,
    );
  }
}
