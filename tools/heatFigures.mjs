/**
 * Writes docs/model/heat-figures.md: what each heat source saw of the shipped traces, as
 * `hetmem heat` prints it. Takes minutes.
 *
 * Usage: node tools/heatFigures.mjs [TRACE…]
 */
import { spawnSync } from 'node:child_process';
import { readdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const OPTIONS = ['--interval', '20', '--ratio', '1:4', '--seed', '1'];

const HEAD = `# Heat sources in figures

Written by \`npm run heat-figures\`; nobody edits it by hand. What they mean: [heat.md](heat.md).

Each table is the output of the command above it: dram-cxl-asic, fast memory for a fifth of the
footprint, nothing migrates. Runs last about a second of modelled time, so clocks are 20 ms instead
of Linux's (\`--interval 20\`); PEBS and IBS sample with their default periods, one access in 5,000
and one op in 10,000, which a second gives little to. The hot set is as large as the fast memory
whatever the program's accesses look like: where they are spread evenly nothing can be precise.
`;

const chosen = process.argv.slice(2);
const traces = readdirSync(join(root, 'traces'))
  .filter((name) => name.endsWith('.hmt'))
  .map((name) => name.slice(0, -4))
  .filter((name) => chosen.length === 0 || chosen.includes(name))
  .sort();

const parts = traces.map((trace) => {
  const args = ['heat', trace, ...OPTIONS];
  process.stderr.write(`hetmem ${args.join(' ')}\n`);
  const env = { ...process.env, NO_COLOR: '1', HETMEM_BUILD: 'never' };
  const run = spawnSync(join(root, 'bin/hetmem'), args, { encoding: 'utf8', env, cwd: root });
  if (run.status !== 0) throw new Error(run.stderr);
  const lines = run.stdout.split('\n').filter((line) => !line.startsWith('Times of the program'));
  const table = lines.join('\n').trim();
  return `## ${trace}\n\n    hetmem ${args.join(' ')}\n\n\`\`\`text\n${table}\n\`\`\`\n`;
});
writeFileSync(join(root, 'docs/model/heat-figures.md'), [HEAD, ...parts].join('\n'));
process.stdout.write('docs/model/heat-figures.md\n');
