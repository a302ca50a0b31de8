/** Saved states of the modelled kernel. */
export * from './classes.ts';
export * from './compareStates.ts';
export * from './kernelState.ts';
export * from './stateFile.ts';
