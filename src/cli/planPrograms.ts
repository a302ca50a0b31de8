/**
 * `hetmem plan TRACE…`: how little DRAM, which policy with which knobs, and which machine keep
 * programs under a slowdown.
 */
import type { Command } from 'commander';
import { UserError } from '../base/assert.ts';
import type { DramPlan } from '../experiment/index.ts';
import type { DramQuestion, Library } from '../runner/index.ts';
import { experimentOf } from './compare.ts';
import { packageLibrary, shellWord } from './comparisonRun.ts';
import { listOf, shareOf, wholeNumber } from './optionValues.ts';
import { type SearchFlags, type SearchTools, search, withSearchOptions } from './search.ts';

interface Flags extends SearchFlags {
  readonly slowdown: string;
  readonly machine: readonly string[];
  readonly policy: readonly string[];
  readonly seed: readonly string[];
  readonly resolution: string;
  readonly rounds: string;
}

const POLICIES = [
  'first-touch',
  'weighted-interleave',
  'demotion-only',
  'numa-balancing',
  'hemem',
  'memtis',
  'colloid',
  'oracle',
];

const JOURNAL = 'results/plan.journal';

const EXAMPLES = `
Sizes are shares of what a program touches; with several traces each runs alone, and the slowest
counts. Knobs of the best policy are changed one at a time, and what gains is tried with less DRAM,
--rounds times. Of several machines the cheapest is named. Finished runs are kept in ${JOURNAL}:
after ^C the same command goes on where it was. Exit code 1: no policy holds the bound with less
DRAM than all. Prices come from cost_per_gib in the machine file.

Examples:
  hetmem plan redis --slowdown 10%
  hetmem plan redis --slowdown 10% --machine dram-cxl-asic,dram-cxl-fpga --parquet planned
  hetmem plan redis sqlite --slowdown 5% --policy demotion-only,hemem --seed 1,2 --json`;

/** Adds arguments, options and action to the command. */
export function describePrograms(plan: Command): void {
  const several = (flags: string, purpose: string, initial: readonly string[]) => {
    const option = plan.createOption(flags, purpose);
    plan.addOption(option.argParser(listOf).default(initial, initial.join(',')));
  };
  plan
    .argument('[traces...]', 'traces or generators, as for compare')
    .option('--slowdown <share>', 'more time than all-DRAM that is allowed', '5%');
  several('-m, --machine <names>', 'shipped machines or files', ['dram-cxl-asic']);
  several('-p, --policy <names>', 'policies to try', POLICIES);
  several('-s, --seed <numbers>', 'each run is done with each', ['1']);
  plan
    .option('--resolution <share>', 'how closely the size is looked for', '3%')
    .option('--rounds <n>', 'of search for knobs of the best policy; 0 = only look at them', '2');
  withSearchOptions(plan).addHelpText('after', EXAMPLES).action(planPrograms);
}

async function planPrograms(traces: readonly string[], flags: Flags): Promise<void> {
  if (traces.length === 0) {
    throw new UserError('hetmem plan', 'plan for what?', 'name a trace (redis, my.hmt), or zones');
  }
  const library = await packageLibrary(process.cwd());
  const { planTables } = await import('../experiment/index.ts');
  const questions = await Promise.all(
    flags.machine.map((machine) => questionOf(traces, machine, flags, library)),
  );
  const find = (tools: SearchTools) => planAll(questions, traces, flags, tools);
  const plans = await search(
    { label: 'planning', journal: JOURNAL, library, find, tablesOf: planTables },
    flags,
  );
  const { jsonOf, plansText } = await import('./planText.ts');
  process.stdout.write(flags.json === true ? `${jsonOf(plans)}\n` : plansText(plans));
  process.exitCode = plans.every(({ best }) => best < 0) ? 1 : 0;
}

async function planAll(
  questions: readonly DramQuestion[],
  traces: readonly string[],
  flags: Flags,
  tools: SearchTools,
): Promise<DramPlan[]> {
  const { planDram } = await import('../runner/index.ts');
  const plans: DramPlan[] = [];
  for (const question of questions) {
    const { machine } = question;
    const where = questions.length === 1 ? '' : `${machine}, `;
    const onStage = (what: string) => tools.onStage(`${where}${what}`);
    const command = commandLine(traces, machine, flags);
    plans.push(await planDram(question, { ...tools, command, onStage }));
  }
  return plans;
}

async function questionOf(
  traces: readonly string[],
  machine: string,
  flags: Flags,
  library: Library,
): Promise<DramQuestion> {
  const { policy, seed } = flags;
  const like = { machine: [machine], ratio: ['1:1'], policy, seed, headroom: '0', series: '0' };
  const { policies, workloads, seeds } = await experimentOf(traces, like, library, 'hetmem plan');
  const isFit = (share: number) => share > 0 && share <= 10;
  const bound = 1 + shareOf('--slowdown', flags.slowdown, isFit);
  const resolution = shareOf('--resolution', flags.resolution, isFit);
  const knobRounds = wholeNumber('--rounds', flags.rounds, 0, 100);
  return { machine, policies, workloads, seeds, bound, resolution, knobRounds };
}

function commandLine(traces: readonly string[], machine: string, flags: Flags): string {
  const options = [
    ['--slowdown', flags.slowdown],
    ['--machine', machine],
    ['--policy', flags.policy.join(',')],
    ['--seed', flags.seed.join(',')],
    ['--resolution', flags.resolution],
    ['--rounds', flags.rounds],
  ];
  return ['hetmem', 'plan', ...traces, ...options.flat()].map(shellWord).join(' ');
}
