/**
 * The shape of a published table's file (experiments/published/*.yaml). Whether its names exist and
 * whether its rules hold on its own figures is checked by tableFile.ts.
 *
 * docs/published.schema.json, for editors, is made from this and kept current by a test.
 */
import { z } from 'zod';
import { KERNEL_VERSIONS, machineFileReader, SIZE } from '../hw/index.ts';

const { closedObject, SYSCTL_SCHEMA, withRemedy } = await machineFileReader();

export const TABLE_FORMAT = 'published/1';

const sentence = () => z.string({ error: () => 'expected a sentence' }).min(1);
const name = () => z.string({ error: () => 'expected a name' }).min(1);
const count = (what: string) => z.int({ error: () => `expected ${what}` }).min(0);
const share = () =>
  z.number({ error: () => withRemedy('expected a share', 'such as 0.05 for 5 %') }).min(0);

const mark = z.literal(['V', 'R', 'C'], {
  error: () =>
    withRemedy('expected V, R or C', 'V read in the source, R recalled, C computed from V'),
});

const size = z.string().regex(new RegExp(SIZE.pattern), {
  error: () => withRemedy('expected a size with its unit', `such as ${SIZE.example}`),
});
const node = z.string().regex(/^\d+$/, { error: () => 'expected a node number' });
const params = z.record(z.string(), z.union([z.number(), z.string(), z.boolean()]), {
  error: () => withRemedy('expected knobs with their values', 'such as {samplePeriod: 200}'),
});

const policy = closedObject({ name: name(), params: params.optional() });

const background = closedObject({
  node: count('a node number'),
  cores: z.int().min(0),
  lines: z.number().min(1).describe('Cache lines that a core keeps in flight.'),
  read_share: z.number().min(0).max(1).describe('Of its accesses.'),
}).describe('Cores that keep memory of their own busy all the time, which no policy may migrate.');

/** A part of what a cell runs; keys of other measures than the table's are refused later. */
const runPart = closedObject({
  machine: name().optional().describe('Name of a preset, or a machine file relative to this one.'),
  sizes: z.record(node, size).optional().describe('Memory of nodes, by number.'),
  kernel: z
    .literal([...KERNEL_VERSIONS], { error: () => `expected ${KERNEL_VERSIONS.join(', ')}` })
    .optional(),
  parallelism: z.number().min(1).optional().describe('Misses that a core has in flight.'),
  sysctl: SYSCTL_SCHEMA.optional().describe(
    'As in machine files; what Linux does not scale as the memory is.',
  ),
  policy: z.union([name(), policy], { error: () => 'expected a policy' }).optional(),
  generator: name().optional().describe('A synthetic workload.'),
  trace: name().optional().describe('Short name of a shipped trace, or a file.'),
  params: params.optional().describe('Knobs of the generator.'),
  seed: count('a seed').optional(),
  background: z.array(background).optional(),
  lines: z.int().min(1).optional().describe('Cache lines in flight, of all cores together.'),
  read_share: z.number().min(0).max(1).optional(),
  weights: z.array(z.number().min(0)).min(1).optional().describe('By node; need not add up.'),
  min: z.boolean().optional().describe('Peaks over shares instead of queueing.'),
  order: z.int().min(0).max(9).optional().describe('Folios of 2^order pages; 9 is PMD-mapped.'),
  folios: z.int().min(1).optional().describe('How many are migrated in one call.'),
  from: count('a node number').optional(),
  to: count('a node number').optional(),
  cpus_flushed: count('a number of CPUs').optional().describe('Interrupted by a TLB flush.'),
});

const column = closedObject({
  name: name(),
  unit: z.string(),
  metric: name(),
  times: z.number().optional().describe('Undoes the scaling. Default: 1.'),
  relative_to: name().optional().describe('A row: ours is divided by its cell.'),
  digits: z.int().min(0).max(6).optional().describe('Decimals printed. Default: 2.'),
  run: runPart.optional(),
});

const row = closedObject({
  name: name(),
  published: z.array(z.union([z.number(), z.null()], { error: () => 'expected a figure' })),
  mark: mark.optional(),
  only: z.array(name()).min(1).optional().describe('Columns that this row runs. Default: all.'),
  run: runPart.optional(),
});

const cells = z
  .array(name())
  .min(1)
  .describe('ROW / COLUMN each; * is all of them; ROW alone where there is one column.');
const by = share().optional();

const falls = { falls: cells, by };
const rises = { rises: cells, by };
const ratio = { ratio: cells.length(2), between: z.tuple([z.number(), z.number()]) };
const near = { near: cells, by: share() };

const claim = z.union(
  [closedObject(falls), closedObject(rises), closedObject(ratio), closedObject(near)],
  { error: () => withRemedy('expected a claim', 'falls:, rises:, ratio: or near:') },
);

const words = {
  means: sentence().describe('What it shows.'),
  why_not: sentence().optional().describe('Printed when it fails.'),
  shown_by: claim.optional().describe('What our figures do if why_not is true.'),
};

const rule = z.union(
  [falls, rises, ratio, near].map((shape) => closedObject({ ...shape, ...words })),
  { error: () => withRemedy('expected a rule', 'falls:, rises:, ratio: or near: with means:') },
);

export const TABLE_SCHEMA = closedObject({
  format: z.literal(TABLE_FORMAT, {
    error: () => withRemedy('not a published table', `it begins with format: ${TABLE_FORMAT}`),
  }),
  name: name().regex(/^[a-z][a-z0-9-]*$/, {
    error: () => withRemedy('not a name', 'lower case, digits and hyphens'),
  }),
  title: sentence(),
  question: sentence(),
  source: sentence(),
  mark,
  measure: z.literal(['program', 'bandwidth', 'migration'], {
    error: () => 'expected program, bandwidth or migration',
  }),
  scaling: z.array(sentence()),
  limits: z.array(sentence()),
  row_title: z.string().optional(),
  run: runPart.optional(),
  columns: z.array(column).min(1),
  rows: z.array(row).min(1),
  rules: z.array(rule).min(1),
}).describe('Published figures, and the experiment that is to reproduce their shape.');

export type TableInput = z.output<typeof TABLE_SCHEMA>;
export type RunPartInput = z.output<typeof runPart>;
export type RuleInput = z.output<typeof rule>;
export type ClaimInput = z.output<typeof claim>;

/** The JSON Schema of these files: draft 7, as the YAML language server reads it. */
export function tableJsonSchema(): object {
  const schema = z.toJSONSchema(TABLE_SCHEMA, { io: 'input', target: 'draft-7' });
  return { title: 'hetmem published table', ...schema };
}
