/**
 * `hetmem lab`: arguments of mailing-list threads as experiments on the model. Lists them, runs one
 * or all, prints figures and verdicts, writes an HTML report.
 */
import type { Command } from 'commander';
import { UserError } from '../base/assert.ts';
import { suggestion } from '../base/closestWord.ts';
import type { Lab, LabResult } from '../labs/index.ts';
import { wholeNumber } from './optionValues.ts';
import { terminalWidth } from './textWidth.ts';

const EXAMPLES = `
Examples:
  hetmem lab --list
  hetmem lab reviewers-machine --html lab.html
  hetmem lab reviewers-machine --set normal=640 --set movable=384 --json
  hetmem lab --all`;

interface Flags {
  readonly list?: boolean;
  readonly all?: boolean;
  readonly json?: boolean;
  readonly html?: string;
  readonly force?: boolean;
  readonly seed: string;
  readonly set?: readonly string[];
}

export function describe(program: Command): void {
  program
    .command('lab')
    .description('run an argument of the mailing list as an experiment, with its verdict')
    .argument('[name]', 'one of hetmem lab --list')
    .option('--list', 'the labs, with their questions')
    .option('--all', 'run all of them')
    .option('--set <knob=value>', 'another value for a knob of the lab; may be repeated', collect)
    .option('--seed <number>', 'of what happens by chance', '1')
    .option('--html <file>', 'write a report with pictures')
    .option('--force', 'replace the file if it exists')
    .option('--json', 'print JSON')
    .addHelpText('after', EXAMPLES)
    .action(lab);
}

function collect(setting: string, before: readonly string[] = []): string[] {
  return [...before, setting];
}

async function lab(name: string | undefined, flags: Flags): Promise<void> {
  const { LABS } = await import('../labs/index.ts');
  if (flags.list === true) return printList(LABS, flags.json === true);
  const chosen = await choose(LABS, name, flags);
  const seed = wholeNumber('--seed', flags.seed, 0, 0xffffffff);
  const { OutputFile } = await import('./outputFile.ts');
  const file =
    flags.html === undefined ? null : new OutputFile(flags.html, { force: flags.force === true });
  try {
    const results = await runAll(chosen, seed, flags.set ?? []);
    await print(results, flags);
    if (file === null) return;
    const { renderLabs } = await import('../report/index.ts');
    file.write(renderLabs(results));
    file.commit();
  } finally {
    file?.discard();
  }
}

async function choose(
  labs: readonly Lab[],
  name: string | undefined,
  flags: Flags,
): Promise<readonly Lab[]> {
  if (flags.all === true) {
    if (name !== undefined) throw new UserError('--all', 'runs every lab', `leave out ${name}`);
    if (flags.set !== undefined) {
      throw new UserError('--set', 'is for one lab', 'name it instead of --all');
    }
    return labs;
  }
  if (name === undefined) {
    throw new UserError('hetmem lab', 'which one?', 'hetmem lab --list shows them, --all runs all');
  }
  const found = labs.find((candidate) => candidate.name === name);
  if (found !== undefined) return [found];
  const names = labs.map((candidate) => candidate.name);
  const remedy = suggestion(name, names, 'hetmem lab --list shows them');
  throw new UserError(name, 'no such lab', remedy);
}

async function runAll(
  labs: readonly Lab[],
  seed: number,
  settings: readonly string[],
): Promise<LabResult[]> {
  const { runLab } = await import('../labs/index.ts');
  const { packageVersion } = await import('./packageRoot.ts');
  const { Progress } = await import('./progress.ts');
  const progress = new Progress('lab');
  const results: LabResult[] = [];
  for (const one of labs) {
    progress.update(results.length, labs.length, one.name);
    results.push(runLab(one, { seed, settings }, packageVersion()));
    // Signal handlers run between events only.
    await new Promise((done) => setImmediate(done));
  }
  progress.clear();
  return results;
}

async function print(results: readonly LabResult[], flags: Flags): Promise<void> {
  if (flags.json === true) {
    const value = flags.all === true ? results : results[0];
    process.stdout.write(`${JSON.stringify(value, null, 2)}\n`);
    return;
  }
  const { labText } = await import('./labText.ts');
  const width = terminalWidth(100);
  const rule = `\n${'═'.repeat(Math.min(width, 100))}\n\n`;
  process.stdout.write(results.map((result) => labText(result, width)).join(rule));
}

async function printList(labs: readonly Lab[], isJson: boolean): Promise<void> {
  if (isJson) {
    const entries = labs.map((one) => {
      const { name, question, thread, missions, rules, experimental = [], knobs } = one;
      return { name, question, thread, missions, rules, experimental, knobs };
    });
    process.stdout.write(`${JSON.stringify(entries, null, 2)}\n`);
    return;
  }
  const { formatTable } = await import('./table.ts');
  const rows = labs.map(({ name, missions, question, experimental }) => {
    return [experimental === undefined ? name : `${name} *`, missions.join(' '), question];
  });
  const columns = [{ title: 'lab' }, { title: 'mission' }, { title: 'question', wraps: true }];
  process.stdout.write(`${formatTable(columns, rows)}* with features that Linux does not have\n`);
}
