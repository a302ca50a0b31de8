/** hetmem as a library: machines, the modelled kernel, traces, policies, runs and their results. */
export * from './base/assert.ts';
export * as conform from './conform/index.ts';
export * as drivers from './drivers/index.ts';
export * as experiment from './experiment/index.ts';
export * as heat from './heat/index.ts';
export * as hw from './hw/index.ts';
export * as labs from './labs/index.ts';
export * as mm from './mm/index.ts';
export * as policy from './policy/index.ts';
export * as report from './report/index.ts';
export * as sim from './sim/index.ts';
export * as state from './state/index.ts';
export * as syscalls from './syscalls/index.ts';
export * as trace from './trace/index.ts';
export * as uapi from './uapi/index.ts';
export * as why from './why/index.ts';
