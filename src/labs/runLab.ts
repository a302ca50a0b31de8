/** Runs a lab: parameters checked, figures measured, verdict and findings made from them. */
import { UserError } from '../base/assert.ts';
import type { ExperimentalFeature } from '../hw/index.ts';
import { type Knob, type KnobValues, resolveKnobs } from '../policy/index.ts';
import { FigureReader } from './figureReader.ts';
import type { Figure, Finding, Lab, Measurement, PublishedFigure } from './lab.ts';

/** Plain data: `hetmem lab NAME --json`, and all that a report is drawn from. */
export interface LabResult {
  readonly format: 'lab/1';
  readonly name: string;
  readonly question: string;
  readonly thread: string;
  readonly missions: readonly string[];
  readonly rules: readonly string[];
  /** Features of the model that Linux does not have, where the figures name them. */
  readonly experimental: readonly ExperimentalFeature[];
  /** Version of hetmem. */
  readonly version: string;
  readonly seed: number;
  readonly knobs: KnobValues;
  readonly setup: readonly string[];
  readonly figures: readonly Figure[];
  readonly published: readonly (PublishedFigure & { readonly deviation: number })[];
  readonly verdict: string;
  readonly positions: readonly ({ readonly who: string; readonly says: string } & Finding)[];
  readonly notModelled: readonly string[];
  readonly data: Measurement['data'];
}

export interface LabChoice {
  readonly seed: number;
  /** "knob=value", as on the command line. */
  readonly settings: readonly string[];
}

/** Throws UserError for a setting that the lab does not have or that is out of its limits. */
export function runLab(lab: Lab, choice: LabChoice, version: string): LabResult {
  const knobs = knobsOf(lab, choice.settings);
  const measurement = lab.measure({ knobs, seed: choice.seed });
  return judged(lab, knobs, choice.seed, measurement, version);
}

/** The result that follows from a measurement. */
export function judged(
  lab: Lab,
  knobs: KnobValues,
  seed: number,
  measurement: Measurement,
  version: string,
): LabResult {
  const { figures, published, data } = measurement;
  const reader = new FigureReader(figures, published);
  return {
    format: 'lab/1',
    name: lab.name,
    question: lab.question,
    thread: lab.thread,
    missions: lab.missions,
    rules: lab.rules,
    experimental: lab.experimental ?? [],
    version,
    seed,
    knobs,
    setup: lab.setup(knobs),
    figures,
    published: published.map((one) => ({ ...one, deviation: one.ours / one.published - 1 })),
    verdict: lab.verdict(reader),
    positions: lab.positions.map(({ who, says, judge }) => ({ who, says, ...judge(reader) })),
    notModelled: lab.notModelled,
    data,
  };
}

/** The lab's knobs with the settings given. */
export function knobsOf(lab: Lab, settings: readonly string[]): KnobValues {
  const params: Record<string, unknown> = {};
  for (const setting of settings) {
    const at = setting.indexOf('=');
    if (at < 1) {
      throw new UserError(`--set ${setting}`, 'is not knob=value', remedyFor(lab));
    }
    const name = setting.slice(0, at);
    const knob = lab.knobs.find((candidate) => candidate.name === name);
    params[name] = parsed(knob, setting.slice(at + 1));
  }
  const { values, problems } = resolveKnobs(lab.knobs, params);
  if (problems.length === 0) return values;
  const [{ name, problem, remedy }] = problems;
  throw new UserError(`--set ${name}=${String(params[name])}`, problem, remedy);
}

function remedyFor(lab: Lab): string {
  const names = lab.knobs.map(({ name }) => name).join(', ');
  return names === '' ? `${lab.name} has no knobs` : `${lab.name} has ${names}`;
}

/** Text of the command line as the knob's kind of value; what is none stays text. */
function parsed(knob: Knob | undefined, text: string): unknown {
  if (knob?.kind === 'boolean' && (text === 'true' || text === 'false')) return text === 'true';
  const isNumber = knob?.kind === 'number' || knob?.kind === 'integer';
  return isNumber && /^-?[0-9]+(\.[0-9]+)?$/.test(text) ? Number(text) : text;
}
