/**
 * `hetmem compare TRACE…`: an experiment from the command line, without a file.
 */
import { existsSync } from 'node:fs';
import type { Command } from 'commander';
import { UserError } from '../base/assert.ts';
import type {
  Experiment,
  Headroom,
  LabelledPolicy,
  MachineChoice,
  WorkloadSpec,
} from '../experiment/index.ts';
import type { Library } from '../runner/index.ts';
import {
  type ComparisonFlags,
  compareAndReport,
  packageLibrary,
  shellWord,
  withComparisonOptions,
} from './comparisonRun.ts';
import { listOf, wholeNumber } from './optionValues.ts';

interface Flags extends ComparisonFlags {
  readonly machine: readonly string[];
  readonly ratio: readonly string[];
  readonly policy: readonly string[];
  readonly seed: readonly string[];
  readonly headroom: string;
  readonly series?: string;
}

const DEFAULTS = {
  machine: ['dram-cxl-asic'],
  ratio: ['1:2', '1:8'],
  policy: ['first-touch', 'weighted-interleave', 'numa-balancing', 'hemem', 'oracle'],
  seed: ['1'],
};

const EXAMPLES = `
TRACE is a file (.hmt), the short name of a shipped trace, or a generator of hetmem policies. Knobs
of policies and generators stand behind the name: hemem:samplePeriod=200. Lists are separated by
commas, or the option is given again. Programs with a + between them run at the same time on one
machine, each in a control group of its own name, or of the name behind an @ (@batch:mems=1 sets the
nodes of its cpuset, too), and the report says what each group had. --ratio none takes the sizes of
the machine file.

Examples:
  hetmem compare redis --ratio 1:4 --policy first-touch,hemem,oracle
  hetmem compare my.hmt --machine my-server.yaml --ratio none --html my.html
  hetmem compare redis --ratio 1:4 --policy hemem --events redis.pftrace
  hetmem compare redis@web+gups:size=64@batch --ratio 1:4 --policy first-touch,hemem
  hetmem compare gups:size=512 --policy hemem --policy hemem:period=100 --seed 1,2,3`;

export function describe(program: Command): void {
  const command = program
    .command('compare')
    .description('compare policies on traces: an experiment without a file')
    .argument('<traces...>', 'traces or generators');
  const several = (flags: string, purpose: string, initial: readonly string[]) => {
    const option = command.createOption(flags, purpose);
    command.addOption(option.argParser(list).default(initial, initial.join(',')));
  };
  several('-m, --machine <names>', 'machines: shipped ones or files', DEFAULTS.machine);
  several('-r, --ratio <ratios>', 'fast to slow memory, by footprint', DEFAULTS.ratio);
  several('-p, --policy <names>', 'policies to compare', DEFAULTS.policy);
  several('-s, --seed <numbers>', 'each run is done with each', DEFAULTS.seed);
  command
    .option('--headroom <size>', 'fast memory on top of the ratio: 64MiB or 2%', '0')
    .option('--series <points>', 'points of the pictures over time, 0 for none');
  withComparisonOptions(command).addHelpText('after', EXAMPLES).action(compare);
}

/** Values given again are added; the first one replaces the default. */
function list(text: string, before: readonly string[]): readonly string[] {
  const isDefault = Object.values(DEFAULTS).includes(before as string[]);
  return [...(isDefault ? [] : before), ...listOf(text)];
}

async function compare(traces: readonly string[], flags: Flags): Promise<void> {
  const library = await packageLibrary(process.cwd());
  const experiment = await experimentOf(traces, flags, library);
  await compareAndReport(experiment, library, commandLine(traces, flags), flags);
}

/** Errors: UserError that names the option. */
export async function experimentOf(
  traces: readonly string[],
  flags: Flags,
  library: Library,
  command = 'hetmem compare',
): Promise<Experiment> {
  const { experimentFileReader } = await import('../experiment/index.ts');
  const { checkExperiment, parseHeadroom, SERIES_POINTS_DEFAULT } = await experimentFileReader();
  const headroom = parseHeadroom(flags.headroom);
  if (headroom === null) {
    throw new UserError(`--headroom ${flags.headroom}`, 'is no size', 'such as 64MiB or 2%');
  }
  const experiment: Experiment = {
    name: 'compare',
    question: questionOf(traces, flags),
    machines: await machinesOf(flags, headroom),
    policies: await policiesOf(flags.policy, library),
    workloads: await workloadsOf(traces, library, command),
    seeds: flags.seed.map((text) => wholeNumber('--seed', text, 0, 0xffffffff)),
    seriesPoints:
      flags.series === undefined
        ? SERIES_POINTS_DEFAULT
        : wholeNumber('--series', flags.series, 0, 2000),
  };
  checkExperiment(experiment, library.catalogue, (path, message, remedy) => {
    throw new UserError(optionOf(String(path[0])) ?? command, message, remedy);
  });
  return experiment;
}

/** A title for the report. */
function questionOf(traces: readonly string[], { policy }: Flags): string {
  const names = traces.join(', ');
  if (policy.length === 1) return `How does ${policy[0]} do on ${names}?`;
  return `Which of ${policy.length} policies does best on ${names}?`;
}

/** The option (or argument) that a part of the experiment comes from. */
function optionOf(part: string): string | undefined {
  const options: Record<string, string> = {
    machines: '--machine',
    policies: '--policy',
    seeds: '--seed',
  };
  return options[part];
}

async function machinesOf(flags: Flags, headroom: Headroom): Promise<MachineChoice[]> {
  const { parseRatio } = await import('../experiment/index.ts');
  const ratios = flags.ratio.map((text) => {
    if (text === 'none') return null;
    const ratio = parseRatio(text);
    if (ratio !== null) return ratio;
    throw new UserError(`--ratio ${text}`, 'is no ratio', 'FAST:SLOW, such as 1:2, or none');
  });
  return flags.machine.flatMap((machine) => ratios.map((ratio) => ({ machine, ratio, headroom })));
}

async function policiesOf(words: readonly string[], library: Library): Promise<LabelledPolicy[]> {
  const { defaultLabel } = await import('../experiment/index.ts');
  return words.map((word) => {
    const { name, params } = withKnobs('--policy', word);
    const known = library.catalogue.policies.some((policy) => policy.name === name);
    return { name, params: known ? params : {}, label: defaultLabel({ name, params }) };
  });
}

async function workloadsOf(
  words: readonly string[],
  library: Library,
  command: string,
): Promise<WorkloadSpec[]> {
  const { defaultLabel, experimentFileReader, splitCgroup } = await import(
    '../experiment/index.ts'
  );
  const { inCgroup, namedWorkload, runTogether } = await experimentFileReader();
  const workloadOf = (word: string): WorkloadSpec => {
    const programs = word.split('+');
    if (programs.length > 1 && !programs.includes('') && !existsSync(word)) {
      return runTogether(programs.map(workloadOf));
    }
    const { program, group } = splitCgroup(word);
    if (typeof group === 'string') {
      const remedy = 'PROGRAM@NAME, or PROGRAM@NAME:mems=NODES, such as gups@batch:mems=1';
      const problem = `no control group behind the @: ${group}`;
      throw new UserError(`${command} ${word}`, problem, remedy);
    }
    if (group !== null) return inCgroup(workloadOf(program), group);
    const isTrace = word.endsWith('.hmt') || word.includes('/');
    if (isTrace || !word.includes(':')) return namedWorkload(word, library.catalogue);
    const { name, params } = withKnobs(command, word);
    return { name: defaultLabel({ name, params }), trace: '', generator: name, params };
  };
  return words.map(workloadOf);
}

/** "hemem:samplePeriod=200:period=50" as name and knobs. */
export function withKnobs(place: string, word: string) {
  const [name = '', ...settings] = word.split(':');
  const params: Record<string, number | string | boolean> = {};
  for (const setting of settings) {
    const [knob, value, ...more] = setting.split('=');
    if (!knob || value === undefined || value === '' || more.length > 0) {
      throw new UserError(`${place} ${word}`, `${setting} is no knob`, 'NAME:KNOB=VALUE');
    }
    params[knob] = knobValue(value);
  }
  return { name, params };
}

function knobValue(text: string): number | string | boolean {
  if (text === 'true' || text === 'false') return text === 'true';
  return /^-?\d+(\.\d+)?(e[-+]?\d+)?$/i.test(text) ? Number(text) : text;
}

/** The command line that makes the same comparison, whatever the defaults will be. */
function commandLine(traces: readonly string[], flags: Flags): string {
  const options = [
    ['--machine', flags.machine.join(',')],
    ['--ratio', flags.ratio.join(',')],
    ['--policy', flags.policy.join(',')],
    ['--seed', flags.seed.join(',')],
    ...(flags.headroom === '0' ? [] : [['--headroom', flags.headroom]]),
    ...(flags.series === undefined ? [] : [['--series', flags.series]]),
  ];
  return ['hetmem', 'compare', ...traces, ...options.flat()].map(shellWord).join(' ');
}
