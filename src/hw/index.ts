/**
 * The machine: its description, what accesses and copies cost, tiers. The only door of hw/.
 * Machine files (YAML) need yaml and zod, so their reader stays behind a dynamic import:
 * `const { parseMachine } = await machineFileReader()`.
 */
export * from './accessCost.ts';
export * from './bitmapText.ts';
export * from './closedLoop.ts';
export * from './costDefaults.ts';
export * from './deviceCost.ts';
export * from './experimental.ts';
export * from './hdmDecoder.ts';
export * from './hotPageUnit.ts';
export * from './interleaveWeights.ts';
export * from './kernelProfile.ts';
export * from './loadedLatency.ts';
export * from './machineResize.ts';
export * from './machineSpec.ts';
export * from './machineValidation.ts';
export * from './memoryTiers.ts';
export * from './migrationCost.ts';
export * from './nodeCapability.ts';
export * from './nodeOrder.ts';
export * from './observedMachine.ts';
export * from './publishedMeasurements.ts';
export * from './quantity.ts';
export * from './topology.ts';

/** The reader of machine files: parseMachine(text, fileName), machineJsonSchema(). */
export function machineFileReader(): Promise<typeof import('./machineFile.ts')> {
  return import('./machineFile.ts');
}
