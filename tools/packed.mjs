/**
 * Tries the package as users get it: packed by npm, unpacked outside of the checkout, run without
 * sources, tools and development packages. Its dependencies are linked, so no network is needed.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

/**
 * Steps for runSteps; the last one removes what they made.
 * @param {string} root
 * @returns {import('./suite.mjs').Step[]}
 */
export function runPacked(root) {
  const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  const folder = mkdtempSync(join(tmpdir(), 'hetmem-packed-'));
  const unpacked = join(folder, 'node_modules/hetmem');
  const hetmem = (/** @type {string[]} */ ...args) =>
    output(process.execPath, [join(unpacked, manifest.bin.hetmem), ...args], folder);
  return [
    {
      name: 'npm pack',
      run: () => {
        output('npm', ['pack', '--ignore-scripts', '--pack-destination', folder], root);
        mkdirSync(unpacked, { recursive: true });
        const archive = `${manifest.name}-${manifest.version}.tgz`;
        output('tar', ['-xzf', archive, '-C', unpacked, '--strip-components=1'], folder);
        linkDependencies(root, Object.keys(manifest.dependencies), join(folder, 'node_modules'));
        return true;
      },
    },
    { name: 'hetmem --version', run: () => hetmem('--version') === `${manifest.version}\n` },
    { name: 'hetmem --help', run: () => hetmem('--help').includes('Usage: hetmem') },
    {
      name: "import 'hetmem'",
      run: () => {
        const script = "await import('hetmem')";
        return output(process.execPath, ['--input-type=module', '-e', script], folder) === '';
      },
    },
    {
      name: 'clean up',
      run: () => {
        rmSync(folder, { recursive: true });
        return true;
      },
    },
  ];
}

/**
 * Links packages and what they need: everything but the development packages' own.
 * @param {string} root
 * @param {string[]} names
 * @param {string} target
 */
function linkDependencies(root, names, target) {
  const lock = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')).packages;
  const linked = new Set();
  const link = (/** @type {string} */ name) => {
    const entry = lock[`node_modules/${name}`];
    if (entry === undefined || linked.has(name)) return;
    linked.add(name);
    mkdirSync(dirname(join(target, name)), { recursive: true });
    symlinkSync(join(root, 'node_modules', name), join(target, name));
    for (const other of Object.keys(entry.dependencies ?? {})) link(other);
  };
  for (const name of names) link(name);
}

/**
 * The standard output of a program; throws with its messages if it fails.
 * @param {string} command
 * @param {string[]} args
 * @param {string} cwd
 */
function output(command, args, cwd) {
  const done = spawnSync(command, args, { cwd, encoding: 'utf8' });
  if (done.status === 0) return done.stdout;
  throw new Error(`${command} ${args.join(' ')}: ${done.stderr}${done.error ?? ''}`);
}
