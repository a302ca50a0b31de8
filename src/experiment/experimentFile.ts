/**
 * Experiment files: YAML in, Experiment out, every mistake told with its place and a remedy.
 *
 * Loads yaml and zod, so only the cold path imports it (index.ts has experimentFileReader()).
 * The format is described in docs/reports.md.
 */
import { assert } from '../base/assert.ts';
import { GIB, KIB, MIB } from '../base/units.ts';
import { type Catalogue, isTracePath, traceName } from './catalogue.ts';
import { parseCgroup, splitCgroup } from './cgroup.ts';
import {
  defaultLabel,
  type Experiment,
  type Headroom,
  type LabelledPolicy,
  type MachineChoice,
  NO_HEADROOM,
  parseRatio,
} from './experiment.ts';
import { checkExperiment } from './experimentCheck.ts';
import {
  EXPERIMENT_SCHEMA,
  type ExperimentInput,
  SERIES_POINTS_DEFAULT,
} from './experimentSchema.ts';
import type { CgroupChoice, WorkloadSpec } from './runTypes.ts';
import { type FieldPath, type FileProblem, throwProblems, YamlFile } from './yamlFile.ts';

export { checkExperiment } from './experimentCheck.ts';
export {
  EXPERIMENT_FORMAT,
  experimentJsonSchema,
  SERIES_POINTS_DEFAULT,
  SERIES_POINTS_MAX,
} from './experimentSchema.ts';

/**
 * The experiment that `text` describes. Pure; `fileName` is only used in messages.
 * Errors: UserError; its text lists all problems, a line each, as file:line:column: path: message.
 */
export function parseExperiment(text: string, fileName: string, catalogue: Catalogue): Experiment {
  const file = YamlFile.read(text, fileName, EXPERIMENT_SCHEMA);
  const experiment = experimentOf(file.value, catalogue);
  const problems: FileProblem[] = [];
  const machineEntry = entryOfMachine(file.value);
  const report = (path: FieldPath, message: string, remedy: string) => {
    const [field, i, ...rest] = path;
    const place = field === 'machines' ? ['machines', machineEntry[Number(i)]!, ...rest] : path;
    problems.push(file.problem(place, message, remedy));
  };
  if (file.value.seeds !== undefined && file.value.repetitions !== undefined) {
    report(
      ['repetitions'],
      'both seeds and repetitions',
      'keep one: repetitions: 3 = seeds 1 to 3',
    );
  }
  checkExperiment(experiment, catalogue, report);
  throwProblems(problems);
  return experiment;
}

function experimentOf(input: ExperimentInput, catalogue: Catalogue): Experiment {
  return {
    name: input.name,
    question: input.question ?? '',
    machines: input.machines.flatMap(machinesOf),
    policies: input.policies.map(policyOf),
    workloads: input.workloads.map((workload) => workloadOf(workload, catalogue)),
    seeds: input.seeds ?? Array.from({ length: input.repetitions ?? 1 }, (_, i) => i + 1),
    seriesPoints: input.series_points ?? SERIES_POINTS_DEFAULT,
  };
}

function machinesOf(input: ExperimentInput['machines'][number]): MachineChoice[] {
  if (typeof input === 'string') return [{ machine: input, ratio: null, headroom: NO_HEADROOM }];
  const headroom = parseHeadroom(String(input.headroom ?? 0)) ?? NO_HEADROOM;
  const texts = typeof input.ratio === 'string' ? [input.ratio] : (input.ratio ?? []);
  const ratios = texts.length === 0 ? [null] : texts.map(parseRatio);
  return ratios.map((ratio) => ({ machine: input.machine, ratio, headroom }));
}

/** An entry with several ratios makes several machines; messages are about the entry. */
function entryOfMachine(input: ExperimentInput): number[] {
  return input.machines.flatMap((machine, i) => machinesOf(machine).map(() => i));
}

function policyOf(input: ExperimentInput['policies'][number]): LabelledPolicy {
  const choice =
    typeof input === 'string'
      ? { name: input, params: {} }
      : { name: input.name, params: input.params ?? {} };
  const label = typeof input === 'string' ? undefined : input.label;
  return { ...choice, label: label ?? defaultLabel(choice) };
}

function workloadOf(
  input: ExperimentInput['workloads'][number],
  catalogue: Catalogue,
): WorkloadSpec {
  if (typeof input === 'string') return namedWorkload(input, catalogue);
  if ('together' in input) {
    const programs = runTogether(input.together.map((one) => workloadOf(one, catalogue)));
    return input.name === undefined ? programs : { ...programs, name: input.name };
  }
  const group = input.cgroup === undefined ? null : parseCgroup(input.cgroup);
  assert(typeof group !== 'string', 'the schema takes groups only');
  if ('trace' in input) {
    const { trace } = input;
    const name = input.name ?? traceName(trace);
    return inCgroup({ name, trace, generator: '', params: {} }, group);
  }
  const { generator, params = {} } = input;
  const name = input.name ?? defaultLabel({ name: generator, params });
  return inCgroup({ name, trace: '', generator, params }, group);
}

/** The program in a control group, or as it is. */
export function inCgroup(program: WorkloadSpec, cgroup: CgroupChoice | null): WorkloadSpec {
  return cgroup === null ? program : { ...program, cgroup };
}

/**
 * A bare word: a trace, or else a generator; with a + between them, programs that run together;
 * with an @ behind one, its control group.
 */
export function namedWorkload(word: string, catalogue: Catalogue): WorkloadSpec {
  if (word.includes('+') && !isTracePath(word)) {
    return runTogether(word.split('+').map((name) => namedWorkload(name, catalogue)));
  }
  const { program, group } = splitCgroup(word);
  assert(typeof group !== 'string', 'the schema takes groups only');
  if (group !== null) return inCgroup(namedWorkload(program, catalogue), group);
  const isGenerator =
    !isTracePath(word) &&
    !catalogue.traces.includes(word) &&
    catalogue.generators.some(({ name }) => name === word);
  if (isGenerator) return { name: word, trace: '', generator: word, params: {} };
  return { name: traceName(word), trace: word, generator: '', params: {} };
}

/** Programs on one machine at the same time; of two with one name the second is name#2. */
export function runTogether(programs: readonly WorkloadSpec[]): WorkloadSpec {
  const together = programs.map((program, i) => {
    const before = programs.slice(0, i).filter(({ name }) => name === program.name).length;
    return before === 0 ? program : { ...program, name: `${program.name}#${before + 1}` };
  });
  const name = together.map(wordOf).join('+');
  return { name, trace: '', generator: '', params: {}, together };
}

function wordOf({ name, cgroup }: WorkloadSpec): string {
  if (cgroup === undefined) return name;
  const mems = cgroup.mems.length === 0 ? '' : `:mems=${cgroup.mems.join(',')}`;
  return `${name}@${cgroup.name}${mems}`;
}

const UNIT_BYTES: Readonly<Record<string, number>> = { KiB: KIB, MiB: MIB, GiB: GIB };

/** "64MiB" or "2%"; null if it is neither. */
export function parseHeadroom(text: string): Headroom | null {
  const match = /^(\d+(?:\.\d+)?) ?(KiB|MiB|GiB|%)$/.exec(text);
  if (match === null) return text === '0' ? NO_HEADROOM : null;
  const value = Number(match[1]);
  if (match[2] === '%') return { bytes: 0, share: value / 100 };
  const unit = UNIT_BYTES[match[2]!]!;
  return { bytes: value * unit, share: 0 };
}
