/**
 * `hetmem plan TRACE…`: how little DRAM, which policy with which knobs, and which machine keep
 * programs under a slowdown.
 */
import type { Command } from 'commander';
import { UserError } from '../base/assert.ts';
import type { DramPlan } from '../experiment/index.ts';
import type { DramQuestion, Journal } from '../runner/index.ts';
import { experimentOf } from './compare.ts';
import { jobsOf, packageLibrary, say, shellWord } from './comparisonRun.ts';
import { onCleanUp } from './interrupt.ts';
import { type ParquetFolder, parquetOf } from './parquetFolder.ts';
import { Progress } from './progress.ts';

interface Flags {
  readonly slowdown: string;
  readonly machine: readonly string[];
  readonly policy: readonly string[];
  readonly seed: readonly string[];
  readonly resolution: string;
  readonly rounds: string;
  readonly jobs?: string;
  readonly json?: boolean;
  readonly parquet?: string;
  readonly force?: boolean;
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
    const list = (text: string) => text.split(',').filter((word) => word !== '');
    plan.addOption(option.argParser(list).default(initial, initial.join(',')));
  };
  plan
    .argument('[traces...]', 'traces or generators, as for compare')
    .option('--slowdown <share>', 'more time than all-DRAM that is allowed', '5%');
  several('-m, --machine <names>', 'shipped machines or files', ['dram-cxl-asic']);
  several('-p, --policy <names>', 'policies to try', POLICIES);
  several('-s, --seed <numbers>', 'each run is done with each', ['1']);
  plan
    .option('--resolution <share>', 'how closely the size is looked for', '3%')
    .option('--rounds <n>', 'of search for knobs of the best policy; 0 = only look at them', '2')
    .option('-j, --jobs <n>', 'runs at a time (default: one a core)')
    .option('--json', 'print the whole answer as JSON')
    .option('--parquet <folder>', 'write the answer as tables for DuckDB and the like')
    .option('--force', 'replace a folder that exists')
    .addHelpText('after', EXAMPLES)
    .action(planPrograms);
}

async function planPrograms(traces: readonly string[], flags: Flags): Promise<void> {
  if (traces.length === 0) {
    throw new UserError('hetmem plan', 'plan for what?', 'name a trace (redis, my.hmt), or zones');
  }
  const library = await packageLibrary(process.cwd());
  const { Journal } = await import('../runner/index.ts');
  const parquet = parquetOf(flags);
  const journal = Journal.resume(JOURNAL);
  const progress = new Progress('planning');
  const forget = onCleanUp(() => {
    progress.clear();
    journal.close();
    say(`stopped; the same command goes on where it was (${JOURNAL})`);
  });
  try {
    const plans: DramPlan[] = [];
    for (const machine of flags.machine) {
      const question = await questionOf(traces, machine, flags, library);
      const command = commandLine(traces, machine, flags);
      plans.push(await planOne(question, command, flags, { library, journal, progress }));
    }
    progress.clear();
    await writeTables(parquet, plans);
    journal.remove();
    const { jsonOf, plansText } = await import('./planText.ts');
    process.stdout.write(flags.json === true ? `${jsonOf(plans)}\n` : plansText(plans));
    process.exitCode = plans.every(({ best }) => best < 0) ? 1 : 0;
  } finally {
    parquet?.discard();
    progress.clear();
    journal.close();
    forget();
  }
}

interface Tools {
  readonly library: Library;
  readonly journal: Journal;
  readonly progress: Progress;
}

async function planOne(
  question: DramQuestion,
  command: string,
  flags: Flags,
  { library, journal, progress }: Tools,
): Promise<DramPlan> {
  const { planDram } = await import('../runner/index.ts');
  const where = flags.machine.length === 1 ? '' : `${question.machine}, `;
  let stage = '';
  return planDram(question, {
    library,
    jobs: jobsOf(flags.jobs),
    journal,
    command,
    onStage: (what) => {
      stage = what;
    },
    onProgress: ({ accessesDone, accesses, runsDone, runs }) => {
      progress.update(accessesDone, accesses, `${where}${stage}: ${runsDone} of ${runs} runs`);
    },
  });
}

async function writeTables(parquet: ParquetFolder | null, plans: readonly DramPlan[]) {
  const { planTables } = await import('../experiment/index.ts');
  await parquet?.commit(planTables(plans), plans[0]!.hetmem);
}

type Library = Awaited<ReturnType<typeof packageLibrary>>;

async function questionOf(
  traces: readonly string[],
  machine: string,
  flags: Flags,
  library: Library,
): Promise<DramQuestion> {
  const { policy, seed } = flags;
  const like = { machine: [machine], ratio: ['1:1'], policy, seed, headroom: '0', series: '0' };
  const { policies, workloads, seeds } = await experimentOf(traces, like, library);
  const bound = 1 + shareOf('--slowdown', flags.slowdown);
  const resolution = shareOf('--resolution', flags.resolution);
  const knobRounds = roundsOf(flags.rounds);
  return { machine, policies, workloads, seeds, bound, resolution, knobRounds };
}

/** "5%" or "0.05". */
function shareOf(option: string, text: string): number {
  const match = /^(\d+(?:\.\d+)?)(%?)$/.exec(text);
  const share = match === null ? 0 : Number(match[1]) / (match[2] === '%' ? 100 : 1);
  if (share > 0 && share <= 10) return share;
  throw new UserError(`${option} ${text}`, 'is no share', 'such as 5% or 0.05');
}

function roundsOf(text: string): number {
  const rounds = Number(text);
  if (text !== '' && Number.isInteger(rounds) && rounds >= 0 && rounds <= 100) return rounds;
  throw new UserError(`--rounds ${text}`, 'is no number of rounds', 'a whole number from 0 on');
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
