/**
 * `hetmem plan TRACE…`: how little DRAM, and which policy, keeps programs under a slowdown.
 */
import type { Command } from 'commander';
import { UserError } from '../base/assert.ts';
import type { DramPlan, PlannedPolicy } from '../experiment/index.ts';
import type { DramQuestion } from '../runner/index.ts';
import { experimentOf } from './compare.ts';
import { jobsOf, packageLibrary, shellWord } from './comparisonRun.ts';
import { onCleanUp } from './interrupt.ts';
import { parquetOf } from './parquetFolder.ts';
import { Progress } from './progress.ts';

interface Flags {
  readonly slowdown: string;
  readonly machine: string;
  readonly policy: readonly string[];
  readonly seed: readonly string[];
  readonly resolution: string;
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

const EXAMPLES = `
Sizes are shares of what a program touches; with several traces each runs alone, and the slowest
counts. Exit code 1: no policy holds the bound with less DRAM than all. Prices come from
cost_per_gib in the machine file.

Examples:
  hetmem plan redis --slowdown 10%
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
    .option('--slowdown <share>', 'more time than all-DRAM that is allowed', '5%')
    .option('-m, --machine <name>', 'a shipped machine or a file', 'dram-cxl-asic');
  several('-p, --policy <names>', 'policies to try', POLICIES);
  several('-s, --seed <numbers>', 'each run is done with each', ['1']);
  plan
    .option('--resolution <share>', 'how closely the size is looked for', '3%')
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
  const { planTables } = await import('../experiment/index.ts');
  const { Journal, planDram } = await import('../runner/index.ts');
  const parquet = parquetOf(flags);
  const journal = Journal.start('results/plan.journal');
  const progress = new Progress('planning');
  let stage = '';
  const forget = onCleanUp(() => {
    progress.clear();
    journal.remove();
  });
  try {
    const plan = await planDram(await questionOf(traces, flags, library), {
      library,
      jobs: jobsOf(flags.jobs),
      journal,
      command: commandLine(traces, flags),
      onStage: (what) => {
        stage = what;
      },
      onProgress: ({ accessesDone, accesses, runsDone, runs }) => {
        progress.update(accessesDone, accesses, `${stage}: ${runsDone} of ${runs} runs`);
      },
    });
    progress.clear();
    await parquet?.commit(planTables(plan), library.version);
    if (flags.json === true) process.stdout.write(`${JSON.stringify(plan)}\n`);
    else process.stdout.write(await planText(plan));
    process.exitCode = plan.best < 0 ? 1 : 0;
  } finally {
    parquet?.discard();
    progress.clear();
    journal.remove();
    forget();
  }
}

type Library = Awaited<ReturnType<typeof packageLibrary>>;

async function questionOf(
  traces: readonly string[],
  flags: Flags,
  library: Library,
): Promise<DramQuestion> {
  const { machine, policy, seed } = flags;
  const like = { machine: [machine], ratio: ['1:1'], policy, seed, headroom: '0', series: '0' };
  const { policies, workloads, seeds } = await experimentOf(traces, like, library);
  const bound = 1 + shareOf('--slowdown', flags.slowdown);
  const resolution = shareOf('--resolution', flags.resolution);
  return { machine, policies, workloads, seeds, bound, resolution };
}

/** "5%" or "0.05". */
function shareOf(option: string, text: string): number {
  const match = /^(\d+(?:\.\d+)?)(%?)$/.exec(text);
  const share = match === null ? 0 : Number(match[1]) / (match[2] === '%' ? 100 : 1);
  if (share > 0 && share <= 10) return share;
  throw new UserError(`${option} ${text}`, 'is no share', 'such as 5% or 0.05');
}

function commandLine(traces: readonly string[], flags: Flags): string {
  const options = [
    ['--slowdown', flags.slowdown],
    ['--machine', flags.machine],
    ['--policy', flags.policy.join(',')],
    ['--seed', flags.seed.join(',')],
    ['--resolution', flags.resolution],
  ];
  return ['hetmem', 'plan', ...traces, ...options.flat()].map(shellWord).join(' ');
}

/** Everything that is printed for people. */
async function planText(plan: DramPlan): Promise<string> {
  const { formatBytes, formatShare, formatSlowdown } = await import('../experiment/index.ts');
  const { formatTable } = await import('./table.ts');
  const { fast, slow } = plan.tiers;
  const hasPrices = plan.policies.some(({ memory }) => memory.cost !== null);
  const columns = [
    { title: 'policy' },
    { title: fast, align: 'right' as const },
    { title: `${fast} size`, align: 'right' as const },
    { title: `${slow} size`, align: 'right' as const },
    { title: 'slowdown', align: 'right' as const },
    { title: 'seeds that hold', align: 'right' as const },
    ...(hasPrices ? [{ title: 'cost of all-DRAM', align: 'right' as const }] : []),
  ];
  const rows = plan.policies.map((one, i) => {
    const { policy, smallest, memory } = one;
    const mark = i === plan.best ? ' *' : '';
    const cost = hasPrices ? [memory.costShare === null ? '–' : formatShare(memory.costShare)] : [];
    return [
      policy.label + mark,
      shareText(one, formatShare),
      formatBytes(memory.fastBytes),
      formatBytes(memory.slowBytes),
      smallest === null ? '1.00×' : formatSlowdown(smallest.slowdown.median),
      smallest === null ? '–' : formatShare(smallest.confidence),
      ...cost,
    ];
  });
  const names = plan.workloads.map(({ name }) => name).join(', ');
  const bound = formatSlowdown(plan.bound);
  const title = `${names} on ${plan.machine}: least ${fast} for at most ${bound} of all-${fast}`;
  const parts = [title, '\n\n', formatTable(columns, rows), '\n', verdict(plan, formatShare)];
  const knobs = await knobText(plan);
  if (knobs !== '') parts.push('\n', knobs);
  if (plan.settings.length > 0)
    parts.push(`\nTo set a machine up so:\n  ${plan.settings.join('\n  ')}\n`);
  if (!hasPrices) parts.push('\nNo prices: give cost_per_gib to the nodes of the machine file.\n');
  return parts.join('');
}

/** "≤" where nothing smaller was tried. */
function shareText({ smallest, tried }: PlannedPolicy, formatShare: (share: number) => string) {
  if (smallest === null) return 'all';
  return `${smallest.share === tried[0]!.share ? '≤ ' : ''}${formatShare(smallest.share)}`;
}

function verdict(plan: DramPlan, formatShare: (share: number) => string): string {
  const { fast } = plan.tiers;
  const best: PlannedPolicy | undefined = plan.policies[plan.best];
  if (best === undefined) {
    return `No policy holds the bound with less ${fast} than the programs touch.\n`;
  }
  const oracle = plan.policies.find(({ isOracle }) => isOracle);
  const bound =
    oracle === undefined ? '' : `; an oracle would need ${shareText(oracle, formatShare)}`;
  return (
    `* ${best.policy.label} needs ${shareText(best, formatShare)} of the footprint in ${fast} ` +
    `(to within ${formatShare(plan.resolution)})${bound}.\n`
  );
}

async function knobText({ sensitivity, policies, best }: DramPlan): Promise<string> {
  if (sensitivity.length === 0) return '';
  const { formatSlowdown } = await import('../experiment/index.ts');
  const { formatTable } = await import('./table.ts');
  const at = policies[best]!.smallest!.slowdown.median;
  const rows = sensitivity.map(({ knob, value, initial, slowdown }) => [
    knob,
    String(initial),
    String(value),
    slowdown === null ? 'failed' : formatSlowdown(slowdown),
  ]);
  const columns = [
    { title: 'knob' },
    { title: 'is', align: 'right' as const },
    { title: 'if', align: 'right' as const },
    { title: `slowdown (${formatSlowdown(at)})`, align: 'right' as const },
  ];
  return formatTable(columns, rows);
}
