/**
 * Runs the benches: every other file of bench/ that lies beside this one, each in a process of its
 * own, so that what the compiler learned in one does not colour the next.
 *
 *     npm run bench                      a table
 *     npm run bench -- --json            one line of JSON a figure, as it is measured
 *     npm run bench -- --json cli trace  the files cli.ts and trace*.ts only
 */
import { spawn } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { packageRoot } from '../src/cli/packageRoot.ts';
import { formatTable } from '../src/cli/table.ts';
import type { Bench, Figure } from './support/figure.ts';

const SELF = fileURLToPath(import.meta.url);

function benchNames(wanted: readonly string[]): string[] {
  return readdirSync(join(packageRoot(), 'bench'))
    .filter((file) => file.endsWith('.ts') && file !== 'run.ts')
    .map((file) => file.slice(0, -'.ts'.length))
    .filter((name) => wanted.length === 0 || wanted.some((prefix) => name.startsWith(prefix)))
    .sort();
}

/** In a process of its own: prints the figures of one bench. */
async function runOne(name: string): Promise<void> {
  const path = join(SELF, '..', `${name}.js`);
  const bench = (await import(pathToFileURL(path).href)) as Bench;
  const figures = bench.figures();
  const list = Symbol.asyncIterator in figures ? figures : await figures;
  for await (const figure of list) process.stdout.write(`${JSON.stringify(figure)}\n`);
}

/** The figures of one bench, `onFigure` as they come; false if it failed. */
async function runApart(name: string, onFigure: (figure: Figure) => void): Promise<boolean> {
  const child = spawn(process.execPath, ['--expose-gc', SELF, `--only=${name}`], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const ended = new Promise((resolve) => child.on('close', resolve));
  for await (const line of createInterface({ input: child.stdout })) onFigure(JSON.parse(line));
  return (await ended) === 0;
}

async function runAll(args: readonly string[]): Promise<void> {
  const isJson = args.includes('--json');
  const names = benchNames(args.filter((arg) => !arg.startsWith('--')));
  const figures: Figure[] = [];
  for (const name of names) {
    if (!isJson) process.stderr.write(`bench/${name}.ts …\n`);
    const isWell = await runApart(name, (figure) => {
      figures.push(figure);
      if (isJson) process.stdout.write(`${JSON.stringify(figure)}\n`);
    });
    if (isWell) continue;
    process.stderr.write(`hetmem: bench/${name}.ts failed\n`);
    process.exitCode = 1;
  }
  if (!isJson) process.stdout.write(tableOf(figures));
}

function tableOf(figures: readonly Figure[]): string {
  const columns = [
    { title: 'figure' },
    { title: 'value', align: 'right' as const },
    { title: 'unit' },
    { title: 'ratio', align: 'right' as const },
    { title: 'against' },
  ];
  const rows = figures.map(({ name, value, unit, ratio, against }) => [
    name,
    value.toLocaleString('en', { maximumSignificantDigits: 4 }),
    unit,
    ratio === null ? '–' : ratio.toFixed(2),
    against,
  ]);
  return formatTable(columns, rows);
}

const args = process.argv.slice(2);
const only = args.find((arg) => arg.startsWith('--only='));
if (only === undefined) await runAll(args);
else await runOne(only.slice('--only='.length));
