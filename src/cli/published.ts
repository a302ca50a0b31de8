/**
 * `hetmem published`: tables of papers and mails as experiments. Lists them, runs some or all,
 * prints what was published, ours and the deviation, and which rules of shape hold.
 */
import { dirname, join, resolve } from 'node:path';
import type { Command } from 'commander';
import { UserError } from '../base/assert.ts';
import { suggestion } from '../base/closestWord.ts';
import type { PublishedTable, Reproduction } from '../published/index.ts';
import type { Library } from '../runner/index.ts';
import { jobsOf, packageLibrary } from './comparisonRun.ts';
import { packageRoot } from './packageRoot.ts';
import { terminalWidth } from './textWidth.ts';

const EXAMPLES = `
Each table has rules of shape (orders, ratios), taken from the source and checked on the published
figures themselves. "Agrees in shape" means that all of them hold on ours. docs/published.md has all
tables as this version gives them.

Examples:
  hetmem published --list
  hetmem published weighted-interleave
  hetmem published experiments/published/tpp-cache.yaml
  hetmem published --all --json`;

interface Flags {
  readonly list?: boolean;
  readonly all?: boolean;
  readonly json?: boolean;
  readonly jobs?: string;
  readonly markdown?: boolean;
  readonly schema?: boolean;
}

export function describe(program: Command): void {
  program
    .command('published')
    .description('run published tables as experiments: their figures, ours, the deviation')
    .argument('[names...]', 'some of hetmem published --list, or files of tables')
    .option('--list', 'the tables, with their questions and sources')
    .option('--all', 'run all of them')
    .option('-j, --jobs <n>', 'runs at a time (default: one a core)')
    .option('--json', 'print JSON')
    .option('--markdown', 'print what docs/published.md holds of them')
    .option('--schema', 'print the JSON Schema of files of tables, for editors')
    .addHelpText('after', EXAMPLES)
    .action(published);
}

async function published(names: readonly string[], flags: Flags): Promise<void> {
  if (flags.schema === true) return printSchema();
  const folder = join(packageRoot(), 'experiments', 'published');
  const library = await packageLibrary(folder);
  const { readTables } = await import('../runner/index.ts');
  const shipped = names.some((name) => !isFile(name)) || names.length === 0;
  const tables = shipped ? await readTables(folder, library) : [];
  if (flags.list === true) return printList(tables, flags.json === true);
  const chosen: Chosen[] = [];
  for (const name of names.filter(isFile)) chosen.push(await ownTable(name));
  const others = names.filter((name) => !isFile(name));
  if (chosen.length === 0 || others.length > 0) {
    const found = choose(tables, others, flags.all === true);
    chosen.push(...found.map((table) => ({ table, library })));
  }
  const results = await runAll(chosen, jobsOf(flags.jobs));
  await print(results, flags);
}

/** A table, and where its machines and traces are looked for. */
interface Chosen {
  readonly table: PublishedTable;
  readonly library: Library;
}

function isFile(name: string): boolean {
  return /\.ya?ml$/.test(name);
}

/** Of a file of the user's: machines and traces are relative to it. */
async function ownTable(path: string): Promise<Chosen> {
  const { readTable } = await import('../runner/index.ts');
  const library = await packageLibrary(dirname(resolve(path)));
  return { table: await readTable(path, library), library };
}

async function printSchema(): Promise<void> {
  const { publishedFileReader } = await import('../published/index.ts');
  const { tableJsonSchema } = await publishedFileReader();
  process.stdout.write(`${JSON.stringify(tableJsonSchema(), null, 2)}\n`);
}

function choose(
  tables: readonly PublishedTable[],
  names: readonly string[],
  isAll: boolean,
): readonly PublishedTable[] {
  if (isAll && names.length > 0) {
    throw new UserError('--all', 'runs every table', `leave out ${names.join(' ')}`);
  }
  if (isAll) return tables;
  if (names.length === 0) {
    const remedy = 'hetmem published --list shows them, --all runs all';
    throw new UserError('hetmem published', 'which ones?', remedy);
  }
  const known = tables.map(({ name }) => name);
  return names.map((name) => {
    const found = tables.find((table) => table.name === name);
    if (found !== undefined) return found;
    const remedy = suggestion(name, known, 'hetmem published --list shows them');
    throw new UserError(name, 'no such table', remedy);
  });
}

async function runAll(chosen: readonly Chosen[], jobs: number): Promise<Reproduction[]> {
  const { runPublished } = await import('../runner/index.ts');
  const { Progress } = await import('./progress.ts');
  const progress = new Progress('published');
  const results: Reproduction[] = [];
  for (const [i, { table, library }] of chosen.entries()) {
    const onProgress = (done: number, runs: number) => {
      progress.update(i + done / runs, chosen.length, `${table.name}, ${done} of ${runs} runs`);
    };
    onProgress(0, 1);
    results.push(await runPublished(table, { library, jobs, onProgress }));
  }
  progress.clear();
  return results;
}

async function print(results: readonly Reproduction[], flags: Flags): Promise<void> {
  if (flags.json === true) {
    process.stdout.write(`${JSON.stringify(results, null, 2)}\n`);
    return;
  }
  if (flags.markdown === true) {
    const { publishedDocument } = await import('../published/index.ts');
    process.stdout.write(publishedDocument(results));
    return;
  }
  const { reproductionText } = await import('./publishedText.ts');
  const width = terminalWidth(100);
  const rule = `\n${'═'.repeat(Math.min(width, 100))}\n\n`;
  process.stdout.write(results.map((result) => reproductionText(result, width)).join(rule));
}

async function printList(tables: readonly PublishedTable[], isJson: boolean): Promise<void> {
  if (isJson) {
    const entries = tables.map(({ name, title, question, source, mark, measure }) => {
      return { name, title, question, source, mark, measure };
    });
    process.stdout.write(`${JSON.stringify(entries, null, 2)}\n`);
    return;
  }
  const { formatTable } = await import('./table.ts');
  const rows = tables.map(({ name, mark, question }) => [name, mark, question]);
  const columns = [{ title: 'table' }, { title: 'mark' }, { title: 'question', wraps: true }];
  const { MARKS } = await import('../published/index.ts');
  const marks = Object.entries(MARKS).map(([mark, meaning]) => `${mark} ${meaning}`);
  process.stdout.write(`${formatTable(columns, rows)}\nMarks: figures ${marks.join('; ')}.\n`);
}
