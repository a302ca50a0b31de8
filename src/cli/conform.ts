/**
 * `hetmem conform [FILE…]`: what a real Linux kernel was seen to do, the model must do. Runs case
 * files and prints the first step of each case that differs.
 */
import type { Command } from 'commander';
import type {
  CaseDifference,
  CaseMachines,
  CaseResult,
  ConformanceCase,
} from '../conform/index.ts';

interface Flags {
  readonly json?: boolean;
  readonly case?: readonly string[];
  readonly kernel?: string;
  readonly verbose?: boolean;
}

const EXAMPLES = `
Examples:
  hetmem conform                              all cases of hetmem
  hetmem conform mine.jsonl                   with the machines.json beside it, or hetmem's own
  hetmem conform --case mp_thp_all512 --json
  hetmem conform --kernel 6.12                what that version was seen to do

The exit code is 1 if a case failed. A case with a step that the model does not have is skipped,
never passed; a racy case passes if it runs, and --verbose tells where it went another way.`;

export function describe(program: Command): void {
  program
    .command('conform')
    .description('run conformance cases: does the model answer as Linux did?')
    .argument('[files...]', 'case files (JSON lines)')
    .option('--case <id...>', 'only these cases')
    .option('--kernel <version>', 'the answers of another kernel: 7.2, 6.12 or 6.1')
    .option('--json', 'print JSON')
    .option('-v, --verbose', 'tell also what was skipped, and why')
    .addHelpText('after', EXAMPLES)
    .action(conform);
}

async function conform(files: readonly string[], flags: Flags): Promise<void> {
  const { runCase } = await import('../conform/index.ts');
  const { Progress } = await import('./progress.ts');
  const { readCaseFiles, readRules } = await import('./caseFiles.ts');
  const chosen = await select(await readCaseFiles(files), flags);
  const progress = new Progress('conform');
  const results: CaseResult[] = [];
  for (const { one, machines } of chosen) {
    progress.update(results.length, chosen.length, one.id);
    results.push(runCase(one, machines));
  }
  progress.clear();
  const rules = readRules();
  if (flags.json === true) process.stdout.write(`${JSON.stringify(jsonOf(results, rules))}\n`);
  else await print(results, rules, flags.verbose === true);
  if (results.some((result) => result.status === 'failed')) process.exitCode = 1;
}

interface Chosen {
  readonly one: ConformanceCase;
  readonly machines: CaseMachines;
}

/** The cases asked for, as the kernel asked for answered. */
async function select(all: readonly Chosen[], flags: Flags): Promise<Chosen[]> {
  const { UserError } = await import('../base/assert.ts');
  const { caseOnKernel } = await import('../conform/index.ts');
  for (const id of flags.case ?? []) {
    if (all.some(({ one }) => one.id === id)) continue;
    throw new UserError(`--case ${id}`, 'no such case in these files');
  }
  const { kernel } = flags;
  if (kernel !== undefined && !['7.3', '7.2', '6.12', '6.1'].includes(kernel)) {
    throw new UserError(`--kernel ${kernel}`, 'not a kernel that was seen', '7.3, 7.2, 6.12, 6.1');
  }
  return all
    .filter(({ one }) => flags.case === undefined || flags.case.includes(one.id))
    .flatMap(({ one, machines }) => {
      const asked = kernel === undefined ? one : caseOnKernel(one, kernel);
      return asked === null ? [] : [{ one: asked, machines }];
    });
}

type Rules = Readonly<Record<string, string>>;

function jsonOf(results: readonly CaseResult[], rules: Rules): object {
  const cases = results.map((result) => ({ ...result, rules: rules[result.id] ?? '' }));
  return { ...totals(results), groups: byGroup(results), cases };
}

interface Totals {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
}

function totals(results: readonly CaseResult[]): Totals {
  const of = (status: string) => results.filter((result) => result.status === status).length;
  return { passed: of('passed'), failed: of('failed'), skipped: of('skipped') };
}

function byGroup(results: readonly CaseResult[]): Record<string, Totals> {
  const groups = [...new Set(results.map((result) => result.group))];
  const entries = groups.map((group) => {
    return [group, totals(results.filter((result) => result.group === group))] as const;
  });
  return Object.fromEntries(entries);
}

async function print(
  results: readonly CaseResult[],
  rules: Rules,
  isVerbose: boolean,
): Promise<void> {
  const { formatTable } = await import('./table.ts');
  const out: string[] = [];
  for (const result of results) {
    if (result.difference !== null) {
      out.push(`FAILED  ${result.id}`, ...lines(result.difference, rules[result.id]));
    } else if (isVerbose && result.status === 'skipped') {
      out.push(`skipped ${result.id}: ${result.reason}`);
    } else if (isVerbose && result.other !== null) {
      out.push(`other   ${result.id} (racy)`, ...lines(result.other, rules[result.id]));
    }
  }
  if (out.length > 0) process.stdout.write(`${out.join('\n')}\n\n`);
  const rows = Object.entries(byGroup(results)).map(([group, total]) => {
    return [group, total.passed, total.failed, total.skipped];
  });
  const titles = ['group', 'passed', 'failed', 'skipped'].map((title) => ({ title }));
  if (rows.length > 0) process.stdout.write(`${formatTable(titles, rows)}\n`);
  const all = totals(results);
  process.stdout.write(`${all.passed} passed, ${all.failed} failed, ${all.skipped} skipped\n`);
}

/** Where the model and Linux part. */
function lines(difference: CaseDifference, rules: string | undefined): string[] {
  const { step, what, field } = difference;
  const where = step < 0 ? what : `step ${step}, ${what}`;
  return [
    `  ${where}: ${field}`,
    `    expected ${JSON.stringify(difference.expected)}`,
    `    got      ${JSON.stringify(difference.got)}`,
    ...(rules === undefined ? [] : [`    rules    ${rules}`]),
    ...(difference.account.length === 0
      ? []
      : [`    the model's account: ${difference.account.join(', ')}`]),
  ];
}
