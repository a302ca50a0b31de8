/** The simulator: machine, kernel, programs, heat source and policy wired to one run. */
export * from './heatMap.ts';
export * from './replayLoop.ts';
export * from './run.ts';
export * from './runResult.ts';
