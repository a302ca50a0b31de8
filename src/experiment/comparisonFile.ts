/**
 * Reads a result file back: JSON in, Comparison out, or a UserError that says what is wrong.
 *
 * Everything the report draws is checked for its type, so that a damaged or foreign file ends in a
 * message. Keys that are not known are left out: a newer hetmem may have written more.
 */
import { z } from 'zod';
import { UserError } from '../base/assert.ts';
import { COMPARISON_FORMAT, type Comparison } from './comparison.ts';

const count = z.number().min(0);
const index = z.int().min(-1);
const numbers = z.array(z.number());
const params = z.record(z.string(), z.union([z.number(), z.string(), z.boolean()]));
const counts = z.record(z.string(), z.number());
const spread = z.object({ median: count, min: count, max: count, count });

const time = z.object({
  totalNs: count,
  computeNs: count,
  stallNs: z.array(count),
  faultNs: count,
  migrationNs: count,
  observationNs: count,
  backgroundNs: count,
});

const nodeResult = z.object({
  nid: count,
  kind: z.string(),
  isToptier: z.boolean(),
  capacityBytes: count,
  reads: count,
  writes: count,
  readBytes: count,
  writeBytes: count,
  migrationReadBytes: count,
  migrationWriteBytes: count,
  meanLatencyNs: count,
  peakUtilisation: count,
  residentPages: count,
  residentPagesMax: count,
});

const migration = z.object({
  promotedPages: count,
  demotedPages: count,
  movedPages: count,
  swappedOutPages: count,
  swappedInPages: count,
  failures: counts,
  reasons: z
    .array(
      z.object({
        cause: z.string(),
        rules: z.string(),
        sentence: z.string(),
        remedy: z.string(),
        examples: z.array(z.string()),
      }),
    )
    // Results of before this was told.
    .default([]),
  pingPongPages: count,
  wastedBytes: count,
  // Not told in results of before.
  deferredPages: count.default(0),
  roundTrips: numbers.default([]),
  restless: z
    .array(z.object({ pid: index, vpn: count, nrPages: count, roundTrips: count }))
    .default([]),
});

const processResult = z.object({
  process: index,
  name: z.string(),
  program: z.string(),
  accesses: count,
  toptierHitRatio: count,
  residentPagesMean: count,
  toptierPagesMean: count,
  // Not told in results of before.
  promotedPages: count.default(0),
  demotedPages: count.default(0),
  majorFaults: count.default(0),
  endNs: count,
});

const cgroupResult = processResult
  .omit({ process: true, program: true })
  .extend({ mems: z.array(count), processes: count });

const heat = z.object({
  source: z.string(),
  precision: count,
  recall: count,
  // What has a default was not told in results of before.
  found: count.default(0),
  lagNs: count.nullable().default(null),
  lag90Ns: count.nullable().default(null),
  samples: count,
  lost: count,
  stale: count.default(0),
  programNs: count.default(0),
  backgroundNs: count.default(0),
  costNs: count,
});

const series = z.object({
  intervalNs: count,
  residentPages: z.array(numbers),
  trafficBytes: z.array(numbers),
  promotedPages: numbers,
  demotedPages: numbers,
  accesses: numbers,
});

const heatMap = z
  .object({
    rows: z.int().min(0),
    columns: z.int().min(0),
    pagesPerRow: count,
    rowVpn: numbers,
    accesses: numbers,
    node: z.array(index),
  })
  .refine((map) => map.accesses.length === map.rows * map.columns, 'rows x columns accesses')
  .refine((map) => map.node.length === map.rows * map.columns, 'rows x columns nodes');

const runResult = z.object({
  format: z.literal(1),
  hetmem: z.string(),
  machine: z.string(),
  policy: z.object({ name: z.string(), params }),
  workload: z.string(),
  seed: count,
  time,
  nodes: z.array(nodeResult),
  migration,
  toptierHitRatio: count,
  footprintPages: count,
  accesses: count,
  instructions: count,
  faults: z.object({ minor: count, major: count, hint: count }),
  heat: heat.nullable(),
  processes: z.array(processResult).default([]),
  cgroups: z.array(cgroupResult).default([]),
  vmstat: counts,
  series: series.nullable(),
  heatMap: heatMap.nullable(),
  notes: z.array(z.string()),
  warnings: z.array(z.string()),
});

const picture = z.object({
  name: z.string(),
  kernel: z.string(),
  sources: z.array(z.string()),
  nodes: z.array(
    z.object({
      nid: count,
      kind: z.string(),
      role: z.string(),
      nrCpus: count,
      sizeBytes: count,
      isToptier: z.boolean(),
      readLatencyNs: count,
      readBandwidth: count,
      writeBandwidth: count,
    }),
  ),
  links: z.array(
    z.object({
      name: z.string(),
      from: numbers,
      to: numbers,
      latencyNs: count,
      readBandwidth: count,
    }),
  ),
});

const provenance = z.object({
  file: z.string(),
  sizeBytes: count,
  sha256: z.string(),
  program: z.string(),
  args: z.array(z.string()),
  recorder: z.string(),
  accessKind: z.string(),
  filter: z.string(),
  host: z.string(),
  date: z.string(),
  notes: z.array(z.string()),
  history: z.array(z.string()),
});

const run = z
  .object({
    workload: index,
    machine: index,
    policy: index,
    seed: count,
    result: runResult.nullable(),
    failure: z.object({ kind: z.enum(['input', 'bug', 'crash']), message: z.string() }).nullable(),
  })
  .refine(({ result, failure }) => (result === null) !== (failure === null), {
    error: 'a run has a result or a failure',
  });

const outcome = z.object({
  policy: index,
  runs: z.array(index),
  slowdown: spread.nullable(),
  representative: index,
  isBest: z.boolean(),
});

const program = z.object({
  name: z.string(),
  generator: z.string(),
  params,
  footprintPages: count,
  provenance: provenance.nullable(),
});

const comparison = z.object({
  format: z.literal(COMPARISON_FORMAT),
  hetmem: z.string(),
  name: z.string(),
  question: z.string(),
  verdict: z.string(),
  warnings: z.array(z.string()),
  command: z.string(),
  seeds: numbers,
  machines: z.array(z.object({ label: z.string(), ratio: z.string(), picture })),
  // Results of before tell nothing of the programs that ran together.
  workloads: z.array(program.extend({ programs: z.array(program).default([]) })),
  policies: z.array(
    z.object({
      name: z.string(),
      params,
      label: z.string(),
      purpose: z.string(),
      isOracle: z.boolean(),
    }),
  ),
  groups: z.array(
    z.object({
      workload: index,
      machine: index,
      baseline: z.array(index),
      baselineNs: spread.nullable(),
      outcomes: z.array(outcome),
    }),
  ),
  runs: z.array(run),
});

/** The comparison in `text`. Errors: UserError that names the first field that is wrong. */
export function parseComparison(text: string, fileName: string): Comparison {
  const json = jsonOf(text, fileName);
  const format = typeof json === 'object' && json !== null && 'format' in json ? json.format : '';
  if (format !== COMPARISON_FORMAT) {
    const isNewer = typeof format === 'string' && format.startsWith('comparison/');
    throw new UserError(
      fileName,
      isNewer ? `is a result of another version (${format})` : 'is no result file of hetmem',
      isNewer ? `this hetmem reads ${COMPARISON_FORMAT}` : 'hetmem run --out FILE.json writes one',
    );
  }
  const parsed = comparison.safeParse(json);
  if (!parsed.success) {
    const issue = parsed.error.issues[0]!;
    throw new UserError(`${fileName}: ${issue.path.join('.')}`, issue.message, 'was it edited?');
  }
  checkIndices(parsed.data, fileName);
  return parsed.data;
}

function jsonOf(text: string, fileName: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    const problem = error instanceof Error ? error.message : String(error);
    throw new UserError(fileName, `is no JSON: ${problem}`, 'was it cut?');
  }
}

/** Every index leads somewhere. */
function checkIndices(read: Comparison, fileName: string): void {
  const check = (field: string, values: readonly number[], list: readonly unknown[], min = 0) => {
    for (const value of values) {
      if (value >= min && value < list.length) continue;
      throw new UserError(
        `${fileName}: ${field}`,
        `nothing has the index ${value}`,
        'was it edited?',
      );
    }
  };
  const { groups, runs, machines, workloads, policies } = read;
  for (const [i, group] of groups.entries()) {
    check(`groups.${i}`, [group.workload], workloads);
    check(`groups.${i}`, [group.machine], machines);
    check(`groups.${i}.baseline`, group.baseline, runs);
    for (const { policy, runs: own, representative } of group.outcomes) {
      check(`groups.${i}.outcomes`, [policy], policies);
      check(`groups.${i}.outcomes`, own, runs);
      check(`groups.${i}.outcomes`, [representative], runs, -1);
    }
  }
  for (const [i, { workload, machine, policy }] of runs.entries()) {
    check(`runs.${i}`, [workload], workloads);
    check(`runs.${i}`, [machine], machines);
    check(`runs.${i}`, [policy], policies, -1);
  }
}
