/**
 * `hetmem tune POLICY TRACE…`: knobs of one policy that make programs faster on a machine.
 */
import type { Command } from 'commander';
import type { Tuning } from '../experiment/index.ts';
import { experimentOf } from './compare.ts';
import { packageLibrary, shellWord } from './comparisonRun.ts';
import { listOf, shareOf, wholeNumber } from './optionValues.ts';
import { type SearchFlags, type SearchTools, search, withSearchOptions } from './search.ts';

interface Flags extends SearchFlags {
  readonly machine: string;
  readonly ratio: string;
  readonly seed: readonly string[];
  readonly gain: string;
  readonly rounds: string;
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
  command
    .argument('<policy>', 'with knobs to begin with, as for compare')
    .argument('<traces...>', 'traces or generators, as for compare')
    .option('-m, --machine <name>', 'a shipped machine or a file', 'dram-cxl-asic')
    .option('-r, --ratio <ratio>', 'fast to slow memory, by footprint', '1:4')
    .addOption(seeds.argParser(listOf).default(['1'], '1'))
    .option('--gain <share>', 'what a step must gain of the slowdown', '1%')
    .option('--rounds <n>', 'at most', '8');
  withSearchOptions(command).addHelpText('after', EXAMPLES).action(tune);
}

async function tune(policy: string, traces: readonly string[], flags: Flags): Promise<void> {
  const library = await packageLibrary(process.cwd());
  const { tuningTables } = await import('../experiment/index.ts');
  const { tunePolicy } = await import('../runner/index.ts');
  const { machine, ratio, seed } = flags;
  const like = {
    machine: [machine],
    ratio: [ratio],
    policy: [policy],
    seed,
    headroom: '0',
    series: '0',
  };
  const experiment = await experimentOf(traces, like, library, 'hetmem tune');
  const question = {
    machine: experiment.machines[0]!,
    ratio,
    policy: experiment.policies[0]!,
    workloads: experiment.workloads,
    seeds: experiment.seeds,
    minGain: shareOf('--gain', flags.gain, (share) => share >= 0 && share < 1),
    roundsMax: wholeNumber('--rounds', flags.rounds, 1, 1000),
  };
  const command = commandLine(policy, traces, flags);
  const find = (tools: SearchTools) => tunePolicy(question, { ...tools, command });
  const tuning = await search(
    { label: 'tuning', journal: JOURNAL, library, find, tablesOf: tuningTables },
    flags,
  );
  process.stdout.write(
    flags.json === true ? `${JSON.stringify(tuning)}\n` : await tuningText(tuning, policy, traces),
  );
  process.exitCode = tuning.slowdown < tuning.slowdownBefore ? 0 : 1;
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

/** The command that compares the policy as `given` (`memtis:unit=4KiB`) with what it became. */
export function comparing(
  { policy, params, ratio, machine }: Pick<Tuning, 'policy' | 'params' | 'ratio' | 'machine'>,
  given: string,
  traces: readonly string[],
): string {
  const knobs = Object.entries(params).map(([name, value]) => `:${name}=${value}`);
  const policies = `${given},${policy}${knobs.join('')}`;
  const words = ['hetmem', 'compare', ...traces, '--ratio', ratio, '--machine', machine];
  return [...words, '--policy', policies].map(shellWord).join(' ');
}

async function tuningText(
  tuning: Tuning,
  given: string,
  traces: readonly string[],
): Promise<string> {
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
  parts.push(...tuning.warnings.map((warning) => `Beware: ${warning}\n`));
  if (!tuning.isSettled) parts.push('The search ended at --rounds: more may be gained.\n');
  parts.push('\n', await sensitivityText(tuning));
  if (changed.length > 0) parts.push(`\nTo see it:\n  ${comparing(tuning, given, traces)}\n`);
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
