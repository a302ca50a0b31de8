/**
 * `hetmem heat TRACE…`: what heat sources see of a program, what they cost and how late they are,
 * against the truth. A comparison of the policy observe with each source, in a table of its own.
 */
import type { Command } from 'commander';
import { UserError } from '../base/assert.ts';
import { suggestion } from '../base/closestWord.ts';
import type { HeatSourceDescription } from '../policy/index.ts';
import { experimentOf, withKnobs } from './compare.ts';
import {
  type ComparisonFlags,
  compareAndReport,
  packageLibrary,
  shellWord,
  withComparisonOptions,
} from './comparisonRun.ts';
import { listOf } from './optionValues.ts';
import { paint } from './paint.ts';
import { formatTable } from './table.ts';

interface Flags extends ComparisonFlags {
  readonly source?: readonly string[];
  readonly interval?: string;
  readonly machine: string;
  readonly ratio: string;
  readonly seed: string;
  readonly list?: boolean;
}

const EXAMPLES = `
TRACE is a file (.hmt), the short name of a shipped trace, or a generator of hetmem policies. Knobs
of a source stand behind its name. --interval sets the clocks of all sources that have one (scans,
sweeps, epochs, aggregations), which suits runs of a second; without it they have Linux's defaults.

Precision, recall, found and lag: docs/model/heat.md.

Examples:
  hetmem heat --list
  hetmem heat redis --interval 20
  hetmem heat redis --source pebs:period=500 --source cxl:ways=4:xor=1 --ratio 1:8`;

export function describe(program: Command): void {
  const command = program
    .command('heat')
    .description('heat sources against the truth: cost, loss, precision, recall, lag')
    .argument('[traces...]', 'traces or generators')
    .option('-S, --source <name>', 'a source with its knobs, again for more (default: all)', more)
    .option('-i, --interval <ms>', 'clock of all sources that have one')
    .option('-m, --machine <name>', 'machine: a shipped one or a file', 'dram-cxl-asic')
    .option('-r, --ratio <ratio>', 'fast to slow memory, by footprint, or none', '1:4')
    .option('-s, --seed <numbers>', 'each run is done with each', '1')
    .option('-l, --list', 'list the sources with their knobs');
  withComparisonOptions(command).addHelpText('after', EXAMPLES).action(heat);
}

function more(text: string, before: readonly string[] = []): readonly string[] {
  return [...before, ...listOf(text)];
}

async function heat(traces: readonly string[], flags: Flags): Promise<void> {
  const { HEAT_SOURCES, valuesText } = await import('../policy/index.ts');
  if (flags.list === true) {
    if (flags.json === true) process.stdout.write(`${JSON.stringify(HEAT_SOURCES, null, 2)}\n`);
    else process.stdout.write(listText(HEAT_SOURCES, valuesText));
    return;
  }
  if (traces.length === 0) {
    throw new UserError('hetmem heat', 'no trace', 'hetmem heat redis, or hetmem heat --list');
  }
  const library = await packageLibrary(process.cwd());
  const words = flags.source ?? HEAT_SOURCES.map(({ name }) => name);
  const policy = await Promise.all(words.map((word) => policyWord(word, flags.interval)));
  const experiment = await experimentOf(
    traces,
    {
      machine: listOf(flags.machine),
      ratio: listOf(flags.ratio),
      seed: listOf(flags.seed),
      policy,
      headroom: '0',
      series: '0',
    },
    library,
    'hetmem heat',
  );
  const policies = experiment.policies.map((entry, i) => ({ ...entry, label: words[i]! }));
  const question = `What do ${words.length} heat sources see of ${traces.join(', ')}?`;
  const { heatText } = await import('./heatTable.ts');
  const named = { ...experiment, name: 'heat', question, policies };
  await compareAndReport(named, library, commandLine(traces, words, flags), flags, heatText);
}

/** "pebs:period=500" as the policy that only observes. */
async function policyWord(word: string, interval: string | undefined): Promise<string> {
  const { HEAT_SOURCES, clockKnobs, resolveKnobs } = await import('../policy/index.ts');
  const { name, params } = withKnobs('--source', word);
  const source = HEAT_SOURCES.find((candidate) => candidate.name === name);
  if (source === undefined) {
    const names = HEAT_SOURCES.map((candidate) => candidate.name);
    const remedy = suggestion(name, names);
    throw new UserError(`--source ${word}`, 'no heat source', remedy);
  }
  const [wrong] = resolveKnobs(source.knobs, params).problems;
  if (wrong !== undefined) throw new UserError(`--source ${word}`, wrong.problem, wrong.remedy);
  const knobs = { ...clockOf(source, interval, clockKnobs), ...params };
  const settings = Object.entries(knobs).map(([knob, value]) => `${name}.${knob}=${value}`);
  return ['observe', `source=${name}`, ...settings].join(':');
}

function clockOf(
  source: HeatSourceDescription,
  interval: string | undefined,
  clockKnobs: typeof import('../policy/index.ts').clockKnobs,
): Readonly<Record<string, number>> {
  if (interval === undefined) return {};
  const ms = Number(interval);
  if (ms > 0) return clockKnobs(source, ms);
  throw new UserError(`--interval ${interval}`, 'is no time', 'milliseconds, such as 20');
}

function listText(
  sources: readonly HeatSourceDescription[],
  valuesText: typeof import('../policy/index.ts').valuesText,
): string {
  const parts = sources.map(({ name, summary, addresses, knobs }) => {
    const columns = [
      { title: 'knob' },
      { title: 'default', align: 'right' as const },
      { title: 'values', wraps: true },
      { title: 'what it sets', wraps: true },
    ];
    const rows = knobs.map((knob) => [knob.name, String(knob.default), valuesText(knob), knob.doc]);
    const what = addresses === 'physical' ? 'reports frames' : 'reports pages';
    return `${paint('bold', name)}: ${summary}; ${what}\n${formatTable(columns, rows)}`;
  });
  return parts.join('\n');
}

/** The command line that does the same, whatever the defaults will be. */
function commandLine(
  traces: readonly string[],
  words: readonly string[],
  { interval, machine, ratio, seed }: Flags,
): string {
  const options = [
    ...words.map((word) => ['--source', word]),
    ...(interval === undefined ? [] : [['--interval', interval]]),
    ['--machine', machine],
    ['--ratio', ratio],
    ['--seed', seed],
  ];
  return ['hetmem', 'heat', ...traces, ...options.flat()].map(shellWord).join(' ');
}
