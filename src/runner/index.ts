/** Running experiments: files, worker threads, the journal. The only door of runner/. */
export { checkEventPath } from './eventFile.ts';
export { Journal } from './journal.ts';
export { type Library, openLibrary, registries } from './library.ts';
export { machineAt, type NumberedRun, numberedRuns } from './machineState.ts';
export { type DramQuestion, type PlanDramOptions, planDram } from './planDram.ts';
export {
  type ExperimentProgress,
  type RunExperimentOptions,
  runExperiment,
} from './runExperiment.ts';
export { type RunPublishedOptions, readTable, readTables, runPublished } from './runPublished.ts';
export { type TuneOptions, type TuneQuestion, tunePolicy } from './tunePolicy.ts';
