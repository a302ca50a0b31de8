/** Heat sources of the simulator: what can be seen of accesses, at what cost, with which losses. */
export * from './futureRecorder.ts';
export * from './hintFaults.ts';
export * from './idleBits.ts';
export * from './monitor.ts';
export * from './monitorList.ts';
export * from './pebs.ts';
