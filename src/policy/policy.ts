/**
 * Policies decide, hosts do. A policy is a deterministic function from tables (HostView) to a table
 * (MigrationPlan), with whatever it remembers in between. It is written once and runs on the
 * modelled kernel and on a real one (TI-90).
 *
 * A policy has no clock, timer, file, randomness or reference to a host but those it is given; it
 * cannot wait. Kernel mechanisms that decide for themselves (kswapd's demotion, NUMA balancing) are
 * no policies: a policy may switch them on by their sysctl names and then has nothing to decide.
 *
 * To write one: copy skeleton.ts, add it to the list in index.ts, describe it in
 * docs/model/policies.md.
 */
import type { RandomStream } from '../base/prng.ts';
import type { Nanoseconds } from '../base/units.ts';
import type { DamonTiering } from './damonFileWrites.ts';
import type { HeatSource } from './heatSources.ts';
import type { HostView } from './hostView.ts';
import type { Knob, KnobValues } from './knob.ts';
import type { MigrationPlan } from './migrationPlan.ts';

export interface Policy {
  readonly name: string;
  readonly needs: PolicyNeeds;
  readonly settings: HostSettings;
  /** Virtual or real time between two decisions; 0 = it never decides. Whole. */
  readonly periodNs: Nanoseconds;
  /** Rows a plan can have; 0 = it looks on and never migrates. */
  readonly planCapacity: number;
  /** Base pages whose promotion back-off has put off so far; left out = it has none. */
  readonly deferredPages?: number;
  /** Why nothing was decided so far, for people who wonder; null or left out = something was. */
  readonly idleReason?: string | null;
  /** Adds to the plan, which is empty. */
  decide(view: HostView, plan: MigrationPlan): void;
}

/** What the host must observe for the policy. */
export interface PolicyNeeds {
  readonly heat: HeatSource;
  /** Knobs of that source by name; those left out have its defaults. */
  readonly heatKnobs: Readonly<Record<string, number>>;
  /** It decides by frames (HostView.frameHeat): the host need not look for who maps them. */
  readonly isByFrame?: boolean;
  /** Time between two walks over the programs' page tables; 0 = none are needed. */
  readonly residencyPeriodNs: Nanoseconds;
  /** Counters of /proc/vmstat whose growth the policy reads. */
  readonly vmstat: readonly string[];
  /** Windows of known future the run is divided into; 0 = none. Only the simulator can. */
  readonly futureWindows: number;
}

export const NO_NEEDS: PolicyNeeds = {
  heat: 'none',
  heatKnobs: {},
  residencyPeriodNs: 0,
  vmstat: [],
  futureWindows: 0,
};

/** How the host is set up before the programs start. */
export interface HostSettings {
  /** Kernel settings under their sysctl and sysfs names; others stay as the machine has them. */
  readonly sysctl: Readonly<Record<string, number | boolean>>;
  /** Memory policy that the programs start with (set_mempolicy), null = the default. */
  readonly mempolicy: ProgramMempolicy | null;
  /** DAMON's threads that migrate by themselves, null = none. */
  readonly damon: DamonTiering | null;
  /**
   * The simulator migrates at once and for nothing: a bound, not a system. Other hosts refuse.
   */
  readonly isMigrationFree: boolean;
}

export interface ProgramMempolicy {
  /** MPOL_*. */
  readonly mode: number;
  /** All nodes with memory, or those of the top tiers. */
  readonly nodes: 'all' | 'toptier';
  /** Weighted interleave: 'auto' from bandwidth (TI-83), or weights of top tier and other nodes. */
  readonly weights: 'auto' | { readonly toptier: number; readonly slow: number };
}

export const NO_SETTINGS: HostSettings = {
  sysctl: {},
  mempolicy: null,
  damon: null,
  isMigrationFree: false,
};

/** An entry of the list of policies. */
export interface PolicyDescription {
  readonly name: string;
  /** One line for help and reports. */
  readonly summary: string;
  /** Paper, kernel function, documentation. */
  readonly source: string;
  /** What else a real machine must have; left out = any release since 6.1 is enough. */
  readonly requires?: string;
  readonly knobs: readonly Knob[];
  /** Knobs that, made smaller, let it act in a shorter run: told when a run ends before it did. */
  readonly sooner?: readonly string[];
  /** `random` is the policy's own stream. Preconditions: `values` come from resolveKnobs. */
  make(values: KnobValues, random: RandomStream): Policy;
  /** Lines for a root shell that configure and start the program whose policy it is. */
  configuration?(values: KnobValues, nodes: TierNodes): string[];
}

/** The nodes with memory of a real machine, by tier. */
export interface TierNodes {
  readonly fast: readonly number[];
  readonly slow: readonly number[];
}
