/**
 * Writes docs/published.md: all published tables run on the compiled model (`npm run build` first).
 *
 * Usage: node tools/published.mjs
 */
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const target = 'docs/published.md';
const args = [join(root, 'bin', 'hetmem'), 'published', '--all', '--markdown'];
const done = spawnSync(process.execPath, args, {
  cwd: root,
  encoding: 'utf8',
  stdio: ['ignore', 'pipe', 'inherit'],
});
if (done.status !== 0) process.exit(done.status ?? 1);
writeFileSync(join(root, target), done.stdout);
process.stdout.write(`${target}\n`);
