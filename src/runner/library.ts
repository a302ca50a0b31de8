/**
 * What experiments may name, and where it is. The registries of policies and generators are part of
 * hetmem; machines and traces are files, and whoever knows the package's folders says how names
 * become files.
 */
import { readdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { RandomStream } from '../base/prng.ts';
import { type Catalogue, isTracePath } from '../experiment/index.ts';
import type { MachineSpec } from '../hw/index.ts';
import { POLICIES, type PolicyDescription, resolveKnobs } from '../policy/index.ts';
import { WORKLOADS } from '../workload/index.ts';

export interface Library {
  readonly catalogue: Catalogue;
  /** The machine of a preset's name or a path. Errors: UserError. */
  readonly machine: (nameOrPath: string) => Promise<MachineSpec>;
  /** The file of a shipped trace's short name or of a path. */
  readonly tracePath: (nameOrPath: string) => string;
  /** Version of hetmem, for results. */
  readonly version: string;
}

export interface LibraryPlaces {
  readonly machineNames: readonly string[];
  readonly readMachine: (nameOrPath: string) => Promise<MachineSpec>;
  /** Folder of the shipped traces. */
  readonly traceFolder: string;
  /** Paths in an experiment are relative to this folder. */
  readonly baseFolder: string;
  readonly version: string;
}

export function openLibrary(places: LibraryPlaces): Library {
  const traces = traceNames(places.traceFolder);
  const relative = (path: string) => resolve(places.baseFolder, path);
  return {
    version: places.version,
    catalogue: { ...registries(), machines: places.machineNames, traces },
    machine: (name) =>
      places.readMachine(places.machineNames.includes(name) ? name : relative(name)),
    tracePath: (name) =>
      isTracePath(name) ? relative(name) : join(places.traceFolder, `${name}.hmt`),
  };
}

/** Policies and generators with their knobs. */
export function registries(): Pick<Catalogue, 'policies' | 'generators'> {
  return {
    policies: POLICIES.map((policy) => ({
      name: policy.name,
      purpose: policy.summary,
      isOracle: isOracle(policy),
      knobs: policy.knobs,
    })),
    generators: WORKLOADS.map(({ name, summary, knobs }) => ({ name, purpose: summary, knobs })),
  };
}

/** Whoever asks for the future is no competitor of those who cannot. */
function isOracle(policy: PolicyDescription): boolean {
  const { values } = resolveKnobs(policy.knobs, {});
  return policy.make(values, new RandomStream(0, policy.name)).needs.futureWindows > 0;
}

function traceNames(folder: string): string[] {
  return readdirSync(folder)
    .filter((name) => name.endsWith('.hmt') && !name.startsWith('.'))
    .map((name) => name.slice(0, -'.hmt'.length))
    .sort();
}
