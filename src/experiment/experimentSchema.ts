/**
 * The shape of an experiment file (docs/reports.md): what each key is and may be. Whether the names
 * in it exist is checked by experimentCheck.ts.
 *
 * The JSON Schema for editors is made from this: docs/experiment.schema.json, kept current by a
 * test.
 */
import { z } from 'zod';
import { parseCgroup, splitCgroup } from './cgroup.ts';
import { parseRatio } from './experiment.ts';
import { closedObject, withRemedy } from './yamlFile.ts';

export const EXPERIMENT_FORMAT = 'experiment/1';

/** Points of the time series when a file does not say: enough for a picture, small in a file. */
export const SERIES_POINTS_DEFAULT = 120;
export const SERIES_POINTS_MAX = 2000;

const SEED_MAX = 0xffffffff;

const ratioText = z
  .string({ error: () => withRemedy('expected a ratio', 'FAST:SLOW, such as 1:2') })
  .regex(/^\d+(\.\d+)?:\d+(\.\d+)?$/, {
    error: () => withRemedy('expected a ratio', 'FAST:SLOW, such as 1:2'),
  })
  .refine((text) => parseRatio(text) !== null, {
    error: () => withRemedy('a part of the ratio is 0', 'both parts are above 0, such as 1:8'),
  });

const ratio = z.union([ratioText, z.array(ratioText).min(1)], {
  error: () => withRemedy('expected a ratio or a list of them', 'such as [1:2, 1:8]'),
});

const HEADROOM = /^(0|\d+(\.\d+)? ?(KiB|MiB|GiB|%))$/;

const headroomError = () =>
  withRemedy('expected a size or a share', 'such as 64MiB or 2% (of the footprint)');
const headroom = z.union([z.string().regex(HEADROOM, { error: headroomError }), z.literal(0)], {
  error: headroomError,
});

const params = z.record(z.string(), z.union([z.number(), z.string(), z.boolean()]), {
  error: () => withRemedy('expected knobs with their values', 'such as {sample_period: 200}'),
});

const name = () => z.string({ error: () => 'expected a name' }).min(1);

const machine = closedObject({
  machine: name().describe('Name of a preset, or a machine file relative to this file.'),
  ratio: ratio
    .optional()
    .describe(
      'Fast to slow memory, sized by the footprint of each workload; several = several machines.',
    ),
  headroom: headroom
    .optional()
    .describe('Fast memory on top of the ratio: a size, or a share of the footprint. Default: 0.'),
});

const policy = closedObject({
  name: name().describe('As hetmem policies lists it.'),
  params: params.optional().describe('Knobs that differ from their defaults.'),
  label: name().optional().describe('What tables call it. Default: its name and knobs.'),
});

const CGROUP_REMEDY = 'NAME, or NAME:mems=NODES, such as batch:mems=1';

const cgroup = z
  .string({ error: () => withRemedy('expected a control group', CGROUP_REMEDY) })
  .refine((text) => typeof parseCgroup(text) !== 'string', {
    error: ({ input }) => {
      return withRemedy(`not a control group: ${parseCgroup(String(input))}`, CGROUP_REMEDY);
    },
  })
  .optional()
  .describe('The control group it runs in, with the nodes of its cpuset. Default: its own name.');

/** What is wrong with the first control group of a word; null = nothing. */
function cgroupMistake(text: string): string | null {
  const groups = text.split('+').map((word) => splitCgroup(word).group);
  return groups.find((group) => typeof group === 'string') ?? null;
}

const workloadWord = name().refine((text) => cgroupMistake(text) === null, {
  error: ({ input }) => {
    const mistake = cgroupMistake(String(input));
    return withRemedy(`no control group behind the @: ${mistake}`, CGROUP_REMEDY);
  },
});

const trace = closedObject({
  trace: name().describe('Short name of a shipped trace, or a file (.hmt), relative to this file.'),
  name: name().optional().describe('What tables call it. Default: the name of the file.'),
  cgroup,
});

const generated = closedObject({
  generator: name().describe('A synthetic workload.'),
  params: params.optional().describe('Knobs that differ from their defaults.'),
  name: name().optional().describe('What tables call it. Default: the generator and its knobs.'),
  cgroup,
});

const together = closedObject({
  together: z
    .array(
      z.union([workloadWord, trace, generated], {
        error: () => withRemedy('expected a program', 'a trace, or trace:, or generator:'),
      }),
    )
    .min(2)
    .describe('Programs that run on one machine at the same time.'),
  name: name().optional().describe('What tables call it. Default: their names with + between.'),
});

const seed = z
  .int({ error: () => 'expected a whole number' })
  .min(0)
  .max(SEED_MAX);

export const EXPERIMENT_SCHEMA = closedObject({
  format: z.literal(EXPERIMENT_FORMAT, {
    error: () =>
      withRemedy('not an experiment file', `it begins with format: ${EXPERIMENT_FORMAT}`),
  }),
  name: name().regex(/^[A-Za-z0-9][\w.-]*$/, {
    error: () => withRemedy('not a name for files', 'letters, digits, dots and hyphens'),
  }),
  question: z.string().optional().describe('What one wants to know; printed in the report.'),
  machines: z
    .array(
      z.union([name(), machine], {
        error: () => withRemedy('expected a machine', 'a name, or machine: and ratio:'),
      }),
    )
    .min(1),
  policies: z
    .array(
      z.union([name(), policy], {
        error: () => withRemedy('expected a policy', 'a name, or name: and params:'),
      }),
    )
    .min(1),
  workloads: z
    .array(
      z.union([workloadWord, trace, generated, together], {
        error: () => withRemedy('expected a workload', 'a trace, or trace:, or generator:'),
      }),
    )
    .min(1),
  seeds: z.array(seed).min(1).optional().describe('Each run is done with each. Default: [1].'),
  repetitions: z
    .int()
    .min(1)
    .max(1000)
    .optional()
    .describe('Short for seeds: [1, 2, … repetitions].'),
  series_points: z
    .int()
    .min(0)
    .max(SERIES_POINTS_MAX)
    .optional()
    .describe(`Points of the pictures over time; 0 = none. Default: ${SERIES_POINTS_DEFAULT}.`),
}).describe('An experiment for hetmem: machines x policies x workloads x seeds.');

export type ExperimentInput = z.output<typeof EXPERIMENT_SCHEMA>;

/** The JSON Schema of experiment files: draft 7, as the YAML language server reads it. */
export function experimentJsonSchema(): object {
  const schema = z.toJSONSchema(EXPERIMENT_SCHEMA, { io: 'input', target: 'draft-7' });
  return { title: 'hetmem experiment file', ...schema };
}
