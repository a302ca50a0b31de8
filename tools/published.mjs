/**
 * Writes docs/published.md: published tables run on the compiled model (`npm run build` first).
 * With names only those are run, and their parts of the document are replaced.
 *
 * Usage: node tools/published.mjs [NAME…]
 */
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const target = join(root, 'docs', 'published.md');
const names = process.argv.slice(2);

if (names.length === 0) writeFileSync(target, runTables(['--all']));
// Written table by table: what was run stays when a later one is interrupted.
for (const name of names) {
  writeFileSync(target, merged(readFileSync(target, 'utf8'), runTables([name])));
}
process.stdout.write('docs/published.md\n');

/** @param {string[]} which */
function runTables(which) {
  const args = [join(root, 'bin', 'hetmem'), 'published', ...which, '--markdown'];
  /** @type {import('node:child_process').SpawnSyncOptionsWithStringEncoding} */
  const options = { cwd: root, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] };
  const done = spawnSync(process.execPath, args, options);
  if (done.status !== 0) process.exit(done.status ?? 1);
  return done.stdout;
}

/**
 * The parts of `after` where it has them, those of `before` for the other tables.
 * @param {string} before
 * @param {string} after
 */
function merged(before, after) {
  const [old, made] = [partsOf(before), partsOf(after)];
  const files = readdirSync(join(root, 'experiments', 'published'));
  const tables = files.filter((file) => file.endsWith('.yaml')).sort();
  const parts = tables.flatMap((file) => {
    const name = basename(file, '.yaml');
    const part = made.sections.get(name) ?? old.sections.get(name);
    const row = made.rows.get(name) ?? old.rows.get(name);
    // A table that never ran has no part yet; a test says so.
    return part === undefined || row === undefined ? [] : [{ part, row }];
  });
  const summary = [made.head, ...parts.map(({ row }) => row)].join('\n');
  return `${[summary, ...parts.map(({ part }) => part.trimEnd())].join('\n\n')}\n`;
}

/**
 * The document taken apart: what stands above the rows of the summary, the rows, the sections.
 * @param {string} text
 */
function partsOf(text) {
  const [top = '', ...rest] = text.split(/^## /m);
  const lines = top.trimEnd().split('\n');
  const isRow = (/** @type {string} */ line) => line.startsWith('| [');
  const rows = new Map(lines.filter(isRow).map((line) => [/\[(.*?)\]/.exec(line)?.[1], line]));
  const sections = new Map(rest.map((part) => [part.slice(0, part.indexOf('\n')), `## ${part}`]));
  return { head: lines.filter((line) => !isRow(line)).join('\n'), rows, sections };
}
