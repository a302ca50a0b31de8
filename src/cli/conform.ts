/**
 * `hetmem conform [FILE…]`: what a real Linux kernel was seen to do, the model must do. Runs case
 * files and prints the first step of each case that differs.
 */
import type { Command } from 'commander';
import type { CaseMachines, CaseResult, ConformanceCase, RefusedCase } from '../conform/index.ts';
import type { KernelVersion } from '../hw/index.ts';
import type { Deviation } from './caseFiles.ts';
import { decimalOrHex } from './optionValues.ts';

interface Flags {
  readonly json?: boolean;
  readonly case?: readonly string[];
  readonly kernel?: string;
  readonly verbose?: boolean;
  readonly allowKnown?: boolean;
  readonly saveState?: string;
  readonly step?: string;
  readonly force?: boolean;
}

const EXAMPLES = `
Examples:
  hetmem conform                              all cases of hetmem
  hetmem conform mine.jsonl                   with the machines.json beside it, or hetmem's own
  hetmem conform --case mp_thp_all512 --json
  hetmem conform --kernel 6.12                what that version was seen to do
  hetmem conform --kernel all                 every version: 7.3, 7.2, 6.12, 6.1
  hetmem conform --case pin_many_1024 --save-state pin.hms --step 4

docs/conformance.md has the format. A case with a verb, field or flag that the format does not have
is wrong input: it counts as failed, the others run, and the exit code is 2. A case with a step that
the model does not have, or that was not observed on the version asked for, is skipped and says so,
never passed. A racy case passes if it runs; --verbose tells where it went another way.

Exit code 1 if a case failed. A case listed in test/conformance/deviations.json is marked DEVIATES,
with the reason; it differs from Linux all the same and counts as failed. --allow-known leaves the
exit code at 0 when all that failed are such cases.`;

export function describe(program: Command): void {
  program
    .command('conform')
    .description('run conformance cases: does the model answer as Linux did?')
    .argument('[files...]', 'case files (JSON lines)')
    .option('--case <id...>', 'only these cases')
    .option('--kernel <version>', 'the answers of another kernel: 7.2, 6.12, 6.1, or all')
    .option('--json', 'print JSON')
    .option('-v, --verbose', 'tell also what was skipped, and why')
    .option('--save-state <file>', 'of one case: the kernel where it first differs, or at --step')
    .option('--step <n>', 'with --save-state: after step n, counted from 0')
    .option('--force', 'replace the file of --save-state')
    .option('--allow-known', 'exit with 0 if only known deviations failed')
    .addHelpText('after', EXAMPLES)
    .action(conform);
}

async function conform(files: readonly string[], flags: Flags): Promise<void> {
  const { refusedResult, runCaseOnKernel } = await import('../conform/index.ts');
  const { Progress } = await import('./progress.ts');
  const { readCaseFiles, readDeviations, readRules } = await import('./caseFiles.ts');
  const { caseReport, conformJson } = await import('./conformReport.ts');
  const refused: RefusedCase[] = [];
  const isAsked = ({ id }: { readonly id: string }) => flags.case?.includes(id) ?? true;
  const chosen = await select(await readCaseFiles(files, refused), refused, flags);
  const { kernelsOf } = await import('./kernelChoice.ts');
  // null: the version that each case was observed on.
  const kernels = flags.kernel === undefined ? [null] : kernelsOf(flags.kernel);
  const runs = chosen.flatMap((two) => kernels.map((kernel) => ({ ...two, kernel })));
  const progress = new Progress('conform');
  const results: CaseResult[] = refused.filter(isAsked).map(refusedResult);
  for (const { one, machines, kernel } of runs) {
    progress.update(results.length, runs.length, one.id);
    results.push(runCaseOnKernel(one, kernel ?? one.kernel, machines));
  }
  progress.clear();
  const known = { rules: readRules(), deviations: readDeviations() };
  const text =
    flags.json === true
      ? `${JSON.stringify(conformJson(results, known))}\n`
      : caseReport(results, known, flags.verbose === true);
  process.stdout.write(text);
  if (flags.saveState !== undefined) await saveCase(runs, results, flags);
  await setExitCode(results, flags.allowKnown === true ? known.deviations : new Map());
}

/** --save-state: after --step, else after the step that first differs, else at the end. */
async function saveCase(
  runs: readonly (Chosen & { readonly kernel: KernelVersion | null })[],
  results: readonly CaseResult[],
  flags: Flags,
): Promise<void> {
  const { UserError } = await import('../base/assert.ts');
  const { caseOnKernel, kernelAfterStep } = await import('../conform/index.ts');
  const { saveState } = await import('./stateFiles.ts');
  if (runs.length !== 1) {
    throw new UserError('--save-state', `${runs.length} cases are chosen`, 'one: --case ID');
  }
  const { machines, kernel } = runs[0];
  const one = kernel === null ? runs[0].one : caseOnKernel(runs[0].one, kernel);
  if (one === null) throw new UserError(runs[0].one.id, `was not seen on kernel ${kernel}`);
  const differs = results[0].difference?.step ?? -1;
  const last = differs < 0 ? one.steps.length - 1 : differs;
  const step = flags.step === undefined ? last : decimalOrHex('--step', flags.step);
  const k = kernelAfterStep(one, machines, step);
  const path = flags.saveState!;
  await saveState(path, k, `case ${one.id} after step ${step}`, flags.force === true);
  // The last line of the output is the totals.
  process.stderr.write(`State after step ${step} of ${one.id}: ${path}\n`);
}

/** The worst of: a bug (70), wrong input (2), a case that failed (1). */
async function setExitCode(
  results: readonly CaseResult[],
  allowed: ReadonlyMap<string, Deviation>,
): Promise<void> {
  const { EXIT_BAD_INPUT, EXIT_BUG } = await import('./failure.ts');
  const { caseOnVersion } = await import('./caseFiles.ts');
  const kinds = results.map((result) => result.error?.kind);
  if (kinds.includes('bug')) process.exitCode = EXIT_BUG;
  else if (kinds.includes('input')) process.exitCode = EXIT_BAD_INPUT;
  else if (results.some((one) => one.status === 'failed' && !allowed.has(caseOnVersion(one)))) {
    process.exitCode = 1;
  }
}

interface Chosen {
  readonly one: ConformanceCase;
  readonly machines: CaseMachines;
}

/** The cases asked for. */
async function select(
  all: readonly Chosen[],
  refused: readonly RefusedCase[],
  flags: Flags,
): Promise<Chosen[]> {
  const { UserError } = await import('../base/assert.ts');
  for (const id of flags.case ?? []) {
    if (all.some(({ one }) => one.id === id) || refused.some((one) => one.id === id)) continue;
    throw new UserError(`--case ${id}`, 'no such case in these files');
  }
  return all.filter(({ one }) => flags.case === undefined || flags.case.includes(one.id));
}
