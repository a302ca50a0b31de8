/**
 * `hetmem run EXPERIMENT.yaml`: machines × policies × workloads × seeds, as docs/reports.md
 * describes the file.
 */
import { existsSync, realpathSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import type { Command } from 'commander';
import { UserError } from '../base/assert.ts';
import type { Experiment } from '../experiment/index.ts';
import type { Library, NumberedRun } from '../runner/index.ts';
import {
  type ComparisonFlags,
  compareAndReport,
  packageLibrary,
  shellWord,
  withComparisonOptions,
} from './comparisonRun.ts';
import { packageRoot } from './packageRoot.ts';
import { readText } from './textFile.ts';

const EXAMPLES = `
The experiment is a YAML file or the name of a shipped one (experiments/); its paths are relative to
itself. A run that fails is reported and the others go on; the exit code is then 2 (input) or 70.

Examples:
  hetmem run experiments/start.yaml --html start.html
  hetmem run sweep.yaml --out sweep.json --jobs 8
  hetmem run start --save-state redis.hms --run 4 --at 20ms
  hetmem run --schema > experiment.schema.json`;

interface Flags extends ComparisonFlags {
  readonly schema?: boolean;
  readonly saveState?: string;
  readonly at?: string;
  readonly run?: string;
}

export function describe(program: Command): void {
  const command = program
    .command('run')
    .description('do an experiment: machines × policies × workloads, and compare')
    .argument('[experiment]', 'an experiment file');
  withComparisonOptions(command)
    .option('--save-state <file>', 'instead: do one run and save the machine (hetmem why reads it)')
    .option('--at <time>', "with --save-state: the run's time, like 250ms (default: its end)")
    .option('--run <n>', 'with --save-state: which run of the experiment, from 1')
    .option('--schema', 'print the JSON Schema of experiment files, for editors')
    .addHelpText('after', EXAMPLES)
    .action(run);
}

async function run(experiment: string | undefined, flags: Flags): Promise<void> {
  if (flags.schema === true) return printSchema();
  if (experiment === undefined) {
    throw new UserError('hetmem run', 'no experiment is named', 'hetmem run EXPERIMENT.yaml');
  }
  const { library, parsed } = await openExperiment(experiment);
  if (flags.saveState !== undefined) return saveRun(parsed, library, flags);
  await compareAndReport(parsed, library, commandOf(experiment), flags);
}

/**
 * The command for results, the same wherever it was given: the name of a shipped experiment, or the
 * file's name without its folder, which is of this machine only.
 */
export function commandOf(experiment: string): string {
  const path = experimentPath(experiment);
  const isShipped = existsSync(path) && isSameFile(dirname(path), shippedFolder());
  const name = isShipped ? basename(path, '.yaml') : basename(path);
  return `hetmem run ${shellWord(name)}`;
}

function isSameFile(a: string, b: string): boolean {
  return realpathSync(a) === realpathSync(b);
}

function shippedFolder(): string {
  return join(packageRoot(), 'experiments');
}

/** --save-state: one run up to --at, no comparison. */
async function saveRun(experiment: Experiment, library: Library, flags: Flags): Promise<void> {
  const { DURATION, formatDuration, parseQuantity } = await import('../hw/index.ts');
  const { machineAt, numberedRuns } = await import('../runner/index.ts');
  const { saveState } = await import('./stateFiles.ts');
  const { at, saveState: path } = flags;
  const atNs = at === undefined ? Number.POSITIVE_INFINITY : parseQuantity(DURATION, at);
  if (atNs === undefined) throw new UserError(`--at ${at}`, 'is no time', 'like 250ms or 2s');
  const chosen = chooseRun(await numberedRuns(experiment, library), flags.run);
  const k = await machineAt(chosen, atNs);
  const time = formatDuration(k.nowNs);
  await saveState(path!, k, `${chosen.name}, at ${time}`, flags.force === true);
  process.stdout.write(`State of ${chosen.name} at ${time}: ${path}\n`);
}

/** Runs listed when one must be chosen. */
const LISTED_MAX = 40;

function chooseRun(runs: readonly NumberedRun[], choice: string | undefined): NumberedRun {
  const number = choice === undefined && runs.length === 1 ? 1 : Number(choice);
  const chosen = runs.find((run) => run.number === number);
  if (chosen !== undefined) return chosen;
  const list = runs.slice(0, LISTED_MAX).map((run) => `\n  ${run.number}  ${run.name}`);
  const more = runs.length > LISTED_MAX ? '\n  …' : '';
  const problem = choice === undefined ? `the experiment has ${runs.length} runs` : 'no such run';
  const place = choice === undefined ? '--save-state' : `--run ${choice}`;
  throw new UserError(place, problem, `--run N, one of${list.join('')}${more}`);
}

async function printSchema(): Promise<void> {
  const { experimentFileReader } = await import('../experiment/index.ts');
  const { experimentJsonSchema } = await experimentFileReader();
  process.stdout.write(`${JSON.stringify(experimentJsonSchema(), null, 2)}\n`);
}

/** The experiment of a file or of a shipped name. Errors: UserError. */
export async function openExperiment(
  nameOrPath: string,
): Promise<{ readonly library: Library; readonly parsed: Experiment }> {
  const path = experimentPath(nameOrPath);
  const text = readText(path, 'name an experiment file');
  const { experimentFileReader } = await import('../experiment/index.ts');
  const { parseExperiment } = await experimentFileReader();
  const library = await packageLibrary(dirname(path));
  return { library, parsed: parseExperiment(text, path, library.catalogue) };
}

function experimentPath(nameOrPath: string): string {
  if (existsSync(nameOrPath)) return nameOrPath;
  const shipped = join(shippedFolder(), `${nameOrPath}.yaml`);
  const isName = /^[\w-]+$/.test(nameOrPath);
  return isName && existsSync(shipped) ? shipped : nameOrPath;
}
