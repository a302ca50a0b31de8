/**
 * The types of a single run, as sim/ defines them. This folder and report/ take them from here, so
 * that only one line knows where they come from.
 */
export type {
  CgroupChoice,
  CgroupResult,
  FailureReason,
  HeatAccuracy,
  HeatMapResult,
  MachineShare,
  MigrationResult,
  NodeResult,
  PolicyChoice,
  ProcessResult,
  RunResult,
  RunSpec,
  SeriesResult,
  TimeSplit,
  WorkloadSpec,
} from '../sim/index.ts';
export { programsOf } from '../sim/index.ts';
