/**
 * Synthetic workloads: programs made up of a few numbers, for questions that recorded ones cannot
 * answer alone (what if the hot set were twice as large?). Each says what programs it runs
 * (ProgramPlan) and draws their pages; syntheticSource.ts makes a trace of that.
 *
 * To write one: copy skeleton.ts and add it to the list in index.ts.
 */

/** As the knobs of policies (policy/knob.ts): the same checks serve both. */
export interface WorkloadNumberKnob {
  readonly kind: 'number' | 'integer';
  readonly name: string;
  readonly default: number;
  readonly min: number;
  readonly max: number;
  /** '' for plain numbers and shares. */
  readonly unit: string;
  readonly doc: string;
}

export interface WorkloadBooleanKnob {
  readonly kind: 'boolean';
  readonly name: string;
  readonly default: boolean;
  readonly doc: string;
}

export interface WorkloadChoiceKnob {
  readonly kind: 'choice';
  readonly name: string;
  readonly default: string;
  readonly choices: readonly string[];
  readonly doc: string;
}

export type WorkloadKnob = WorkloadNumberKnob | WorkloadBooleanKnob | WorkloadChoiceKnob;
export type WorkloadValues = Readonly<Record<string, number | string | boolean>>;

/** The accesses of one thread. */
export interface PageStream {
  /** Accesses in each run: 1, or more for what goes through a page line by line. */
  readonly weight: number;
  /**
   * Writes the next `n` runs as words `page * 2 + write`, pages counted from the program's first.
   * Preconditions: n <= 4096.
   */
  fill(words: Uint32Array, n: number): void;
}

/** One process. Its memory is one anonymous mapping. */
export interface ProgramPlan {
  readonly name: string;
  readonly nrPages: number;
  readonly nrThreads: number;
  /** Accesses of all its threads together, without those that fill the memory at first. */
  readonly accesses: number;
  readonly insnPerAccess: number;
  /** The memory is written once from its first page to its last before the accesses begin. */
  readonly isFilled: boolean;
  /** set_mempolicy(MPOL_BIND) to this node for the filling, MPOL_DEFAULT afterwards. */
  readonly fillNid?: number;
  /** Pages of files that the leader reads, once and in order, before its memory is filled. */
  readonly filePages?: number;
  /** madvise(MADV_HUGEPAGE) on the mapping. */
  readonly isHugeAdvised: boolean;
  /** The stream of a thread. Every call starts it anew: the same accesses again. */
  stream(thread: number): PageStream;
}

/** An entry of the list of workloads. */
export interface WorkloadDescription {
  readonly name: string;
  /** One line for help and reports. */
  readonly summary: string;
  readonly source: string;
  readonly knobs: readonly WorkloadKnob[];
  /**
   * Misses that a core can have in flight; null = as the machine has it. A chase of pointers has 1.
   */
  readonly memoryParallelism: number | null;
  /** What runs. Preconditions: `values` has an allowed value for every knob. */
  programs(values: WorkloadValues, seed: number): readonly ProgramPlan[];
}
