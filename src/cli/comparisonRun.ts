/**
 * What `hetmem run`, `compare` and `start` share: options, the runs with their progress line, and
 * where results go. Result files are opened before the first run, so that a name that cannot be
 * written is said then, and appear when everything is in them.
 *
 * ^C ends the process with 130; finished runs are in the journal, and --resume goes on with them.
 */
import { existsSync, mkdirSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import type { Command } from 'commander';
import { UserError } from '../base/assert.ts';
import type { Comparison, Experiment } from '../experiment/index.ts';
import type { ExperimentProgress, Library, RunExperimentOptions } from '../runner/index.ts';
import { EXIT_BAD_INPUT, EXIT_BUG } from './failure.ts';
import { onCleanUp } from './interrupt.ts';
import { wholeNumber } from './optionValues.ts';
import { OutputFile } from './outputFile.ts';
import { packageRoot, packageVersion } from './packageRoot.ts';
import { ParquetFolder } from './parquetFolder.ts';
import { Progress } from './progress.ts';
import { terminalWidth } from './textWidth.ts';

/** Journals of experiments that are not finished. */
const JOURNAL_FOLDER = 'results';

export interface ComparisonFlags {
  readonly out?: string;
  readonly html?: string;
  readonly json?: boolean;
  readonly jobs?: string;
  readonly resume?: boolean;
  readonly events?: string;
  readonly parquet?: string;
  readonly force?: boolean;
}

/** What is printed for people, in lines of at most `widthMax`. */
export type ComparisonText = (comparison: Comparison, widthMax: number) => string;

/** Adds the options that say what becomes of results. */
export function withComparisonOptions(command: Command): Command {
  return command
    .option('-o, --out <file>', 'write the whole result as JSON (hetmem report draws it)')
    .option('--html <file>', 'write a report with pictures')
    .option('--events <file>', 'write tracepoints: .txt as ftrace, .pftrace for ui.perfetto.dev')
    .option('--parquet <folder>', 'write the results as tables for DuckDB and the like')
    .option('--json', 'print the whole result as JSON instead of tables')
    .option('-j, --jobs <n>', 'runs at a time (default: one a core)')
    .option('--resume', 'go on where an interrupted run of this experiment was')
    .option('--force', 'replace files that exist');
}

/** The shipped machines, traces and registries; paths are relative to `baseFolder`. */
export async function packageLibrary(baseFolder: string): Promise<Library> {
  const { openLibrary } = await import('../runner/index.ts');
  const { machineNames, readMachine } = await import('./machineFiles.ts');
  return openLibrary({
    machineNames: machineNames(),
    readMachine,
    traceFolder: join(packageRoot(), 'traces'),
    baseFolder,
    version: packageVersion(),
  });
}

/**
 * Does the runs, writes what was asked for, prints tables (or `text`) or JSON, and sets the exit
 * code. The journal goes last: when a result cannot be written, no run has to be done again.
 */
export async function compareAndReport(
  experiment: Experiment,
  library: Library,
  command: string,
  flags: ComparisonFlags,
  text: ComparisonText | null = null,
): Promise<void> {
  const { comparisonTables } = await import('../experiment/index.ts');
  const { checkEventPath, Journal } = await import('../runner/index.ts');
  if (flags.events !== undefined) checkEventPath(flags.events);
  const jobs = jobsOf(flags.jobs);
  const outputs = openOutputs(flags);
  try {
    const path = join(JOURNAL_FOLDER, `${experiment.name}.journal`);
    const journal = openJournal(path, flags.resume === true, Journal);

    const { written, ...events } = eventOptions(flags);
    const comparison = await runAll(experiment, { library, jobs, journal, command, ...events });
    outputs.out?.write(`${JSON.stringify(comparison)}\n`);
    if (outputs.html !== null) {
      const { renderReport } = await import('../report/index.ts');
      outputs.html.write(renderReport(comparison));
    }
    outputs.out?.commit();
    outputs.html?.commit();
    await outputs.parquet?.commit(comparisonTables(comparison), library.version);
    journal.remove();
    await print(comparison, flags, text);
    for (const path of written) tellOf('Events', path, flags);
    process.exitCode = exitCodeOf(comparison);
  } catch (error) {
    outputs.out?.discard();
    outputs.html?.discard();
    outputs.parquet?.discard();
    throw error;
  }
}

function openOutputs({ out, html, parquet, force = false }: ComparisonFlags) {
  const opened: (OutputFile | ParquetFolder)[] = [];
  const open = <T extends OutputFile | ParquetFolder>(
    path: string | undefined,
    make: (path: string) => T,
  ): T | null => {
    if (path === undefined) return null;
    const made = make(path);
    opened.push(made);
    return made;
  };
  try {
    return {
      out: open(out, (path) => new OutputFile(path, { force })),
      html: open(html, (path) => new OutputFile(path, { force })),
      parquet: open(parquet, (path) => new ParquetFolder(path, { force })),
    };
  } catch (error) {
    for (const one of opened) one.discard();
    throw error;
  }
}

async function runAll(
  experiment: Experiment,
  options: Omit<RunExperimentOptions, 'onProgress'>,
): Promise<Comparison> {
  const { runExperiment } = await import('../runner/index.ts');
  const { journal } = options;
  const progress = new Progress('running');
  let done = 0;
  const forget = onCleanUp(() => {
    progress.clear();
    journal.close();
    const kept = `--resume goes on after the ${done} finished runs (${journal.path})`;
    say(done > 0 ? `stopped; ${kept}` : 'stopped before the first run was finished');
  });
  const onProgress = (state: ExperimentProgress) => {
    done = state.runsDone;
    progress.update(state.accessesDone, state.accesses, `${done} of ${state.runs} runs`);
  };
  try {
    return await runExperiment(experiment, { ...options, onProgress });
  } finally {
    progress.clear();
    forget();
  }
}

type JournalClass = typeof import('../runner/index.ts').Journal;

function openJournal(path: string, isResuming: boolean, Journal: JournalClass) {
  const isThere = existsSync(path);
  if (!isResuming) {
    if (isThere) say(`${path} of an interrupted run is kept as ${path}.old; --resume would use it`);
    return Journal.start(path);
  }
  if (!isThere) say(`there is no ${path} to go on with; starting from the beginning`);
  const journal = Journal.resume(path);
  if (isThere) say(`${journal.finished.size} finished runs found in ${path}`);
  return journal;
}

async function print(
  comparison: Comparison,
  flags: ComparisonFlags,
  text: ComparisonText | null,
): Promise<void> {
  if (flags.json === true) {
    process.stdout.write(`${JSON.stringify(comparison)}\n`);
  } else {
    const { comparisonText } = await import('./comparisonTable.ts');
    const textOf = text ?? comparisonText;
    process.stdout.write(`${textOf(comparison, terminalWidth())}\n`);
  }
  if (flags.out !== undefined) tellOf('Result', flags.out, flags);
  if (flags.html !== undefined) tellOf('Report', flags.html, flags);
  if (flags.parquet !== undefined) tellOf('Tables', flags.parquet, flags);
}

/** Scripts that read the JSON get nothing else on stdout. */
function tellOf(what: string, path: string, { json }: ComparisonFlags): void {
  if (json === true) say(`${what}: ${path}`);
  else process.stdout.write(`${what}: ${path}\n`);
}

/** Files of events may not be there before, unless --force. */
function eventOptions({ events, force = false }: ComparisonFlags) {
  const written: string[] = [];
  if (events === undefined) return { written };
  const onEventFile = (path: string) => {
    if (existsSync(path) && !force) {
      throw new UserError(path, 'exists already', 'give another name, or --force to replace it');
    }
    written.push(path);
  };
  return { written, eventPath: events, onEventFile };
}

/** Failed runs make the command fail: with the code of the worst of them. */
export function exitCodeOf(comparison: Comparison): number {
  const kinds = comparison.runs.map(({ failure }) => failure?.kind);
  if (kinds.some((kind) => kind === 'bug' || kind === 'crash')) return EXIT_BUG;
  return kinds.includes('input') ? EXIT_BAD_INPUT : 0;
}

/** --jobs as a number; one a core without it. Errors: UserError. */
export function jobsOf(text: string | undefined): number {
  if (text === undefined) return availableParallelism();
  return wholeNumber('--jobs', text, 1, 1024);
}

/** Makes the folder of a result of ours (reports/), unless it is there. */
export function ensureFolder(folder: string): void {
  try {
    mkdirSync(folder, { recursive: true });
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new UserError(folder, `cannot be made: ${reason}`, 'run in a folder you may write to');
  }
}

/** A line for people, beside what goes to stdout. */
export function say(text: string): void {
  process.stderr.write(`hetmem: ${text}\n`);
}

/** A word as one types it in a shell. */
export function shellWord(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}
