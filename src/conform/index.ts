/** Conformance: cases seen on a real kernel, run on the model. The only door of conform/. */
export * from './caseFile.ts';
export * from './runCase.ts';
export type { CaseMachine, CaseMachines } from './world.ts';
