/**
 * Experiments: what to run, what the results say together. The only door of experiment/.
 * What needs yaml and zod stays behind dynamic imports:
 * `const { parseExperiment } = await experimentFileReader()`.
 */
export * from './catalogue.ts';
export * from './cgroup.ts';
export * from './comparison.ts';
export * from './comparisonTables.ts';
export * from './dramPlan.ts';
export * from './dramSearch.ts';
export * from './experiment.ts';
export * from './failuresByReason.ts';
export * from './flatTable.ts';
export * from './format.ts';
export * from './machinePicture.ts';
export * from './machineSizing.ts';
export * from './plan.ts';
export * from './planTables.ts';
export type * from './runTypes.ts';
export { programsOf } from './runTypes.ts';
export * from './statistics.ts';
export * from './summarise.ts';
export * from './tierParts.ts';
export * from './tuning.ts';
export { verdictOf } from './verdict.ts';

/** The reader of experiment files: parseExperiment(), checkExperiment(), experimentJsonSchema(). */
export function experimentFileReader(): Promise<typeof import('./experimentFile.ts')> {
  return import('./experimentFile.ts');
}

/** The reader of result files: parseComparison(). */
export function comparisonFileReader(): Promise<typeof import('./comparisonFile.ts')> {
  return import('./comparisonFile.ts');
}
