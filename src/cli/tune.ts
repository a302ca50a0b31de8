/**
 * `hetmem tune POLICY TRACE…`: knobs of one policy that make programs faster on a machine.
 */
import type { Command } from 'commander';
import { UserError } from '../base/assert.ts';
import type { Tuning } from '../experiment/index.ts';
import { experimentOf } from './compare.ts';
import { jobsOf, packageLibrary, say, shellWord } from './comparisonRun.ts';
import { onCleanUp } from './interrupt.ts';
import { parquetOf } from './parquetFolder.ts';
import { Progress } from './progress.ts';

interface Flags {
  readonly machine: string;
  readonly ratio: string;
  readonly seed: readonly string[];
  readonly gain: string;
  readonly rounds: string;
  readonly jobs?: string;
  readonly json?: boolean;
  readonly parquet?: string;
  readonly force?: boolean;
}

const JOURNAL = 'results/tune.journal';

const EXAMPLES = `
Each round tries half and twice of every knob, the other choices, and the gains of the last round
together; the best becomes the next place, until no step gains --gain. Finished runs are kept in
${JOURNAL}: after ^C the same command goes on where it was. With several traces the slowest
counts. Exit code 1: nothing is better than what was given.

Examples:
  hetmem tune hemem redis --ratio 1:4
  hetmem tune memtis:unit=4KiB gups:size=64 --seed 1,2 --gain 2%
  hetmem tune numa-balancing redis sqlite --ratio 1:8 --json`;

export function describe(program: Command): void {
  const command = program.command('tune').description('search for better knobs of a policy');
  const seeds = command.createOption('-s, --seed <numbers>', 'each run is done with each');
  const list = (text: string) => text.split(',').filter((word) => word !== '');
  command
    .argument('<policy>', 'with knobs to begin with, as for compare')
    .argument('<traces...>', 'traces or generators, as for compare')
    .option('-m, --machine <name>', 'a shipped machine or a file', 'dram-cxl-asic')
    .option('-r, --ratio <ratio>', 'fast to slow memory, by footprint', '1:4')
    .addOption(seeds.argParser(list).default(['1'], '1'))
    .option('--gain <share>', 'what a step must gain of the slowdown', '1%')
    .option('--rounds <n>', 'at most', '8')
    .option('-j, --jobs <n>', 'runs at a time (default: one a core)')
    .option('--json', 'print the whole answer as JSON')
    .option('--parquet <folder>', 'write the answer as tables for DuckDB and the like')
    .option('--force', 'replace a folder that exists')
    .addHelpText('after', EXAMPLES)
    .action(tune);
}

async function tune(policy: string, traces: readonly string[], flags: Flags): Promise<void> {
  const library = await packageLibrary(process.cwd());
  const { tuningTables } = await import('../experiment/index.ts');
  const { Journal, tunePolicy } = await import('../runner/index.ts');
  const { machine, ratio, seed } = flags;
  const like = {
    machine: [machine],
    ratio: [ratio],
    policy: [policy],
    seed,
    headroom: '0',
    series: '0',
  };
  const experiment = await experimentOf(traces, like, library);
  const question = {
    machine: experiment.machines[0]!,
    ratio,
    policy: experiment.policies[0]!,
    workloads: experiment.workloads,
    seeds: experiment.seeds,
    minGain: gainOf(flags.gain),
    roundsMax: roundsOf(flags.rounds),
  };
  const parquet = parquetOf(flags);
  const journal = Journal.resume(JOURNAL);
  const progress = new Progress('tuning');
  let stage = '';
  const forget = onCleanUp(() => {
    progress.clear();
    journal.close();
    say(`stopped; the same command goes on where it was (${JOURNAL})`);
  });
  try {
    const tuning = await tunePolicy(question, {
      library,
      jobs: jobsOf(flags.jobs),
      journal,
      command: commandLine(policy, traces, flags),
      onStage: (what) => {
        stage = what;
      },
      onProgress: ({ accessesDone, accesses, runsDone, runs }) => {
        progress.update(accessesDone, accesses, `${stage}: ${runsDone} of ${runs} runs`);
      },
    });
    progress.clear();
    await parquet?.commit(tuningTables(tuning), library.version);
    journal.remove();
    process.stdout.write(
      flags.json === true ? `${JSON.stringify(tuning)}\n` : await tuningText(tuning, traces),
    );
    process.exitCode = tuning.slowdown < tuning.slowdownBefore ? 0 : 1;
  } finally {
    parquet?.discard();
    progress.clear();
    journal.close();
    forget();
  }
}

function gainOf(text: string): number {
  const match = /^(\d+(?:\.\d+)?)(%?)$/.exec(text);
  const share = match === null ? 1 : Number(match[1]) / (match[2] === '%' ? 100 : 1);
  if (share >= 0 && share < 1) return share;
  throw new UserError(`--gain ${text}`, 'is no share', 'such as 1% or 0.01');
}

function roundsOf(text: string): number {
  const rounds = Number(text);
  if (Number.isInteger(rounds) && rounds >= 1 && rounds <= 1000) return rounds;
  throw new UserError(`--rounds ${text}`, 'is no number of rounds', 'a whole number from 1 on');
}

function commandLine(policy: string, traces: readonly string[], flags: Flags): string {
  const options = [
    ['--machine', flags.machine],
    ['--ratio', flags.ratio],
    ['--seed', flags.seed.join(',')],
    ['--gain', flags.gain],
    ['--rounds', flags.rounds],
  ];
  return ['hetmem', 'tune', policy, ...traces, ...options.flat()].map(shellWord).join(' ');
}

async function tuningText(tuning: Tuning, traces: readonly string[]): Promise<string> {
  const { formatShare, formatSlowdown } = await import('../experiment/index.ts');
  const { formatTable } = await import('./table.ts');
  const { policy, machine, ratio, params, initial } = tuning;
  const names = tuning.workloads.join(', ');
  const head = `${policy} for ${names} on ${machine} ${ratio}: `;
  const gain = `${formatSlowdown(tuning.slowdownBefore)} → ${formatSlowdown(tuning.slowdown)}`;
  const changed = Object.entries(params).filter(([name, value]) => initial[name] !== value);
  const parts = [head, gain, '\n'];
  if (changed.length === 0) parts.push('No step is better than the knobs given.\n');
  else {
    const columns = [
      { title: 'knob' },
      { title: 'was', align: 'right' as const },
      { title: 'tuned', align: 'right' as const },
    ];
    const rows = changed.map(([name, value]) => [name, String(initial[name]), String(value)]);
    parts.push('\n', formatTable(columns, rows));
    parts.push(`Faster in ${formatShare(tuning.confidence)} of the runs.\n`);
  }
  if (!tuning.isSettled) parts.push('The search ended at --rounds: more may be gained.\n');
  parts.push('\n', await sensitivityText(tuning));
  const knobs = Object.entries(params).map(([name, value]) => `:${name}=${value}`);
  const again = ['hetmem', 'compare', ...traces, '--ratio', ratio, '--machine', machine];
  again.push('--policy', `${policy},${policy}${knobs.join('')}`);
  parts.push(`\nTo see it:\n  ${again.map(shellWord).join(' ')}\n`);
  if (tuning.settings.length > 0) {
    parts.push(`\nTo set a machine up so:\n${tuning.settings.join('\n')}\n`);
  }
  return parts.join('');
}

/** The last round's tries, the strongest effects first. */
async function sensitivityText({ rounds }: Tuning): Promise<string> {
  const { formatSlowdown } = await import('../experiment/index.ts');
  const { formatTable } = await import('./table.ts');
  const round = rounds[rounds.length - 1]!;
  const effect = (slowdown: number | null) => Math.abs((slowdown ?? 0) - round.slowdown);
  const tried = [...round.tried].sort((a, b) => effect(b.slowdown) - effect(a.slowdown));
  const rows = tried.map(({ changes, slowdown }) => [
    Object.entries(changes)
      .map(([name, value]) => `${name} ${value}`)
      .join(', '),
    slowdown === null ? 'failed' : formatSlowdown(slowdown),
  ]);
  const title = `slowdown (${formatSlowdown(round.slowdown)})`;
  return formatTable([{ title: 'if' }, { title, align: 'right' }], rows);
}
