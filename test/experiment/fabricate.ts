/**
 * Made-up runs and comparisons, for tests of what is done with results. The numbers mean nothing,
 * but they are consistent: parts add up to totals, series to sums. Nothing of this is shipped.
 */
import { RandomStream } from '../../src/base/prng.ts';
import { PAGE_SIZE } from '../../src/base/units.ts';
import {
  type Catalogue,
  type Comparison,
  type Experiment,
  type MemoryNeed,
  NO_HEADROOM,
  type Plan,
  planRuns,
  type RunOutcome,
  type RunResult,
  type RunSpec,
  summarise,
  type TraceProvenance,
} from '../../src/experiment/index.ts';
import { type MachineSpec, machineFileReader } from '../../src/hw/index.ts';

/** A machine of one DRAM and one CXL node; more CXL nodes with `nrCxl`. */
export async function fabricateMachine(name = 'test-machine', nrCxl = 1): Promise<MachineSpec> {
  const { parseMachine } = await machineFileReader();
  const cxl = '  - {kind: cxl, size: 2GiB, latency: 200ns, bandwidth: 20GB/s}\n';
  const text = `format: machine/1
name: ${name}
sources: ["made up for a test <b>&"]
nodes:
  - {kind: dram, cpus: 4, size: 1GiB, latency: 100ns, bandwidth: 100GB/s, role: DRAM of the socket}
${cxl.repeat(nrCxl)}`;
  return parseMachine(text, `${name}.yaml`);
}

export const CATALOGUE: Catalogue = {
  policies: ['first-touch', 'weighted-interleave', 'numa-balancing', 'hemem', 'oracle'].map(
    (name) => ({
      name,
      purpose: `${name} of a test`,
      isOracle: name === 'oracle',
      knobs:
        name !== 'hemem'
          ? []
          : [
              {
                kind: 'integer' as const,
                name: 'samplePeriod',
                default: 100,
                min: 1,
                max: 1e6,
                unit: 'accesses',
                doc: 'accesses between two samples',
              },
            ],
    }),
  ),
  generators: [
    {
      name: 'gups',
      purpose: 'updates at random',
      knobs: [{ kind: 'boolean', name: 'hot', default: true, doc: 'a hot set' }],
    },
  ],
  machines: ['test-machine', 'other-machine'],
  traces: ['redis', 'sqlite'],
};

export function fabricateExperiment(fields: Partial<Experiment> = {}): Experiment {
  const machine = 'test-machine';
  return {
    name: 'made-up',
    question: 'Does a made-up policy beat another?',
    machines: [
      { machine, ratio: { fast: 1, slow: 2 }, headroom: NO_HEADROOM },
      { machine, ratio: { fast: 1, slow: 8 }, headroom: NO_HEADROOM },
    ],
    policies: CATALOGUE.policies.map(({ name }) => ({ name, params: {}, label: name })),
    workloads: ['redis', 'sqlite'].map((name) => {
      return { name, trace: name, generator: '', params: {} };
    }),
    seeds: [1],
    seriesPoints: 96,
    ...fields,
  };
}

export const PROVENANCE: TraceProvenance = {
  file: 'traces/redis.hmt',
  sizeBytes: 5_242_880,
  sha256: '9f2c'.padEnd(64, '0'),
  program: '/usr/bin/redis-server',
  args: ['--port', '7000', '--save', ''],
  recorder: 'hetmem 0.1.0',
  accessKind: 'cache-misses',
  filter: 'L1d 48 KiB 12-way, L2 2 MiB 16-way',
  host: 'Linux 6.1 x86_64',
  date: '2026-11-20T10:00:00Z',
  notes: ['made up'],
  history: [],
};

export const FOOTPRINT_PAGES = 90_000;
export const NEED: MemoryNeed = { footprintBytes: FOOTPRINT_PAGES * PAGE_SIZE, fileBytes: 0 };

/** Slowdowns by policy name for the ratio 1:2; the others grow with the slow share. */
export type Slowdowns = Readonly<Record<string, number>>;

const SLOWDOWNS: Slowdowns = {
  'first-touch': 1.31,
  'weighted-interleave': 1.22,
  'numa-balancing': 1.19,
  hemem: 1.08,
  oracle: 1.03,
};

export interface FabricateOptions {
  readonly experiment?: Partial<Experiment>;
  readonly machine?: MachineSpec;
  /** Time of a planned run over all-DRAM; null = it fails. */
  readonly slowdown?: (spec: RunSpec) => number | null;
}

/** A whole comparison. */
export async function fabricateComparison(options: FabricateOptions = {}): Promise<Comparison> {
  const experiment = fabricateExperiment(options.experiment);
  const machine = options.machine ?? (await fabricateMachine());
  const machines = experiment.machines.map(() => machine);
  const plan = planRuns(experiment, {
    machines,
    needs: experiment.workloads.map(() => NEED),
    memoryParallelism: experiment.workloads.map(() => null),
  });
  const slowdown = options.slowdown ?? defaultSlowdown;
  return summarise({
    experiment,
    plan,
    machines,
    workloads: experiment.workloads.map(({ generator }) => ({
      footprintPages: FOOTPRINT_PAGES,
      provenance: generator === '' ? PROVENANCE : null,
      programs: [],
    })),
    outcomes: outcomesOf(plan, slowdown),
    catalogue: CATALOGUE,
    version: '0.0.0-test',
    command: 'hetmem run made-up.yaml',
  });
}

function defaultSlowdown(spec: RunSpec): number {
  const fast = spec.machine.nodes[0]!.zones.reduce((sum, z) => sum + z.endPfn - z.startPfn, 0);
  const absent = spec.machine.nodes[0]!.zones.reduce((sum, z) => sum + z.absentPages, 0);
  const slowShare = Math.max(0, 1 - (fast - absent) / FOOTPRINT_PAGES);
  const excess = (SLOWDOWNS[spec.policy.name] ?? 1.5) - 1;
  const noise = new RandomStream(spec.seed, spec.policy.name + spec.workload.name).unit() / 50;
  return 1 + (excess + noise) * slowShare * 1.5;
}

export function outcomesOf(plan: Plan, slowdown: (spec: RunSpec) => number | null): RunOutcome[] {
  return plan.runs.map(({ spec, policy, problem }) => {
    if (spec === null) return { failure: { kind: 'input', message: problem } };
    const factor = policy < 0 ? 1 : slowdown(spec);
    if (factor === null) return { failure: { kind: 'input', message: 'made to fail <i>' } };
    return { result: fabricateRun(spec, factor) };
  });
}

const BASE_NS = 2_000_000_000;

/** A run that takes `slowdown` times 2 s. */
export function fabricateRun(spec: RunSpec, slowdown: number): RunResult {
  const random = new RandomStream(spec.seed, `${spec.policy.name} ${spec.workload.name}`);
  const isMigrating = !['first-touch', 'weighted-interleave'].includes(spec.policy.name);
  const resident = shareOf(spec);
  const migration = migrationOf(isMigrating, random);
  const { promotedPages, demotedPages } = migration;
  return {
    format: 1,
    hetmem: '0.0.0-test',
    machine: spec.machine.name,
    policy: spec.policy,
    workload: spec.workload.name,
    seed: spec.seed,
    time: timeOf(spec, slowdown, isMigrating),
    nodes: nodesOf(spec, resident, promotedPages, demotedPages),
    migration,
    toptierHitRatio: Math.max(0, 1 - (slowdown - 1) * 1.1),
    footprintPages: FOOTPRINT_PAGES,
    accesses: 145_000_000,
    instructions: 8_000_000_000,
    faults: { minor: FOOTPRINT_PAGES, major: 0, hint: isMigrating ? 140_000 : 0 },
    heat: isMigrating
      ? {
          source: 'pebs',
          precision: 0.87,
          recall: 0.81,
          found: 0.9,
          lagNs: 2e6,
          lag90Ns: 8e6,
          samples: 72_000,
          lost: 12,
          stale: 0,
          programNs: 1.2e7,
          backgroundNs: 2e6,
          costNs: 1.4e7,
        }
      : null,
    processes: [],
    cgroups: [],
    vmstat: {
      pgfault: FOOTPRINT_PAGES,
      pgmigrate_success: promotedPages + demotedPages,
      pgpromote_success: promotedPages,
      pgdemote_kswapd: demotedPages,
      numa_hint_faults: isMigrating ? 140_000 : 0,
    },
    series: spec.seriesPoints > 0 ? seriesOf(spec, random, promotedPages, demotedPages) : null,
    heatMap: spec.seriesPoints > 0 ? heatMapOf(spec, random, resident) : null,
    notes: ['made up <script>alert(1)</script>'],
    warnings: spec.policy.name === 'interleave' ? ['made up'] : [],
  };
}

function timeOf(spec: RunSpec, slowdown: number, isMigrating: boolean) {
  const totalNs = BASE_NS * slowdown;
  const extra = totalNs - BASE_NS;
  const migrationNs = isMigrating ? extra * 0.15 : 0;
  const observationNs = isMigrating ? extra * 0.1 : 0;
  const slowNs = (extra - migrationNs - observationNs) / (spec.machine.nodes.length - 1);
  return {
    totalNs,
    computeNs: BASE_NS * 0.45,
    stallNs: spec.machine.nodes.map((_, nid) => (nid === 0 ? BASE_NS * 0.47 : slowNs)),
    faultNs: BASE_NS * 0.08,
    migrationNs,
    observationNs,
    backgroundNs: isMigrating ? extra * 0.4 : 0,
  };
}

function nodesOf(spec: RunSpec, resident: number, promoted: number, demoted: number) {
  const nrSlow = spec.machine.nodes.length - 1;
  return spec.machine.nodes.map((node, nid) => ({
    nid,
    kind: node.kind,
    isToptier: nid === 0,
    capacityBytes: FOOTPRINT_PAGES * PAGE_SIZE * (nid === 0 ? resident : 1),
    reads: nid === 0 ? 9e7 : 2e7,
    writes: nid === 0 ? 3e7 : 5e6,
    readBytes: nid === 0 ? 5.76e9 : 1.28e9,
    writeBytes: nid === 0 ? 1.92e9 : 3.2e8,
    migrationReadBytes: (nid === 0 ? demoted : promoted) * PAGE_SIZE,
    migrationWriteBytes: (nid === 0 ? promoted : demoted) * PAGE_SIZE,
    meanLatencyNs: nid === 0 ? 112.5 : 231,
    peakUtilisation: nid === 0 ? 0.21 : 0.63,
    residentPages: Math.round(FOOTPRINT_PAGES * (nid === 0 ? resident : (1 - resident) / nrSlow)),
    residentPagesMax: Math.round(FOOTPRINT_PAGES * resident),
  }));
}

function migrationOf(isMigrating: boolean, random: RandomStream) {
  const promotedPages = isMigrating ? 20_000 + random.below(60_000) : 0;
  const demotedPages = isMigrating ? promotedPages - random.below(2000) : 0;
  const failures: Record<string, number> = isMigrating
    ? { 'no-destination-memory': 1200 + random.below(900), 'folio-locked': 34, pinned: 0 }
    : {};
  return {
    promotedPages,
    demotedPages,
    movedPages: promotedPages + demotedPages,
    swappedOutPages: 0,
    swappedInPages: 0,
    failures,
    reasons: Object.keys(failures)
      .filter((cause) => failures[cause]! > 0)
      .map(reasonOf),
    pingPongPages: Math.floor(promotedPages / 9),
    wastedBytes: Math.floor(promotedPages / 9) * 2 * PAGE_SIZE,
    deferredPages: 0,
    roundTrips: [],
    restless: [],
  };
}

/** What a run says of a cause. */
function reasonOf(cause: string) {
  return {
    cause,
    rules: 'MC-0',
    sentence: `a sentence about ${cause} <&>`,
    remedy: cause === 'pinned' ? '' : `a remedy for ${cause}`,
    examples: [`pfn 4711 on node 0 (${cause}): process 100`],
  };
}

/** Share of the footprint that the first node can hold. */
function shareOf({ machine }: RunSpec): number {
  let pages = 0;
  for (const zone of machine.nodes[0]!.zones) {
    pages += zone.endPfn - zone.startPfn - zone.absentPages;
  }
  return Math.min(1, pages / FOOTPRINT_PAGES);
}

function seriesOf(spec: RunSpec, random: RandomStream, promoted: number, demoted: number) {
  const points = Array.from({ length: spec.seriesPoints }, (_, i) => i / spec.seriesPoints);
  const resident = shareOf(spec);
  const nrSlow = spec.machine.nodes.length - 1;
  const filled = (t: number) => Math.min(1, 0.1 + t * 3) * FOOTPRINT_PAGES;
  const fastShare = (t: number) => Math.min(0.95, 0.4 + t * 0.6);
  const traffic = points.map((t) => 4e7 * (1 + 0.5 * Math.sin(t * 20)) + random.below(1e7));
  const perNode = <T>(fast: (t: number, i: number) => T, slow: (t: number, i: number) => T) =>
    spec.machine.nodes.map((_, nid) => points.map(nid === 0 ? fast : slow));
  return {
    intervalNs: BASE_NS / spec.seriesPoints,
    residentPages: perNode(
      (t) => Math.round(Math.min(filled(t), FOOTPRINT_PAGES * resident)),
      (t) => Math.round(Math.max(0, filled(t) - FOOTPRINT_PAGES * resident) / nrSlow),
    ),
    trafficBytes: perNode(
      (t, i) => traffic[i]! * fastShare(t),
      (t, i) => (traffic[i]! * (1 - fastShare(t))) / nrSlow,
    ),
    promotedPages: points.map(() => Math.round(promoted / points.length)),
    demotedPages: points.map(() => Math.round(demoted / points.length)),
    accesses: points.map(() => Math.round(145_000_000 / points.length)),
  };
}

/** A hot band, a sweep through memory, and background. */
function heatMapOf(spec: RunSpec, random: RandomStream, resident: number) {
  const [rows, columns] = [128, spec.seriesPoints];
  const accesses: number[] = [];
  const node: number[] = [];
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      const isThere = column / columns > row / rows / 3 - 0.02;
      const isHot = row > 30 && row < 44;
      const isSwept = Math.abs(row - (column / columns) * rows) < 4;
      const base = random.below(40) + (isHot ? 9000 : 0) + (isSwept ? 2500 : 0);
      accesses.push(isThere ? base : 0);
      const isFast = isHot || row / rows < resident;
      node.push(isThere ? (isFast ? 0 : 1 + (row % (spec.machine.nodes.length - 1))) : -1);
    }
  }
  const rowVpn = Array.from({ length: rows }, (_, row) => 0x7f00_0000 + row * 704);
  return { rows, columns, pagesPerRow: 704, rowVpn, accesses, node };
}

/** As if its programs had run in two control groups; those of all-DRAM took 2 s each. */
export function withCgroups(comparison: Comparison): Comparison {
  const cgroup = {
    processes: 1,
    accesses: 1e6,
    toptierHitRatio: 0.75,
    residentPagesMean: 10_240,
    toptierPagesMean: 2560,
    promotedPages: 7,
    demotedPages: 9,
    majorFaults: 3,
  };
  const runs = comparison.runs.map((run) => {
    if (run.result === null) return run;
    const ends = run.policy < 0 ? [2e9, 2e9] : [3e9, 1e9];
    const cgroups = [
      { name: 'web', mems: [], ...cgroup, endNs: ends[0]! },
      { name: 'batch', mems: [1], ...cgroup, endNs: ends[1]! },
    ];
    return { ...run, result: { ...run.result, cgroups } };
  });
  return { ...comparison, runs };
}
