/** Why pages do not move, and why memory blocks stay online. The only door of why/. */
export * from './accountText.ts';
export * from './blockAccount.ts';
export * from './causes.ts';
export * from './contigAccount.ts';
export * from './folioFate.ts';
export * from './obstacleGroups.ts';
export * from './overview.ts';
export * from './pageAccount.ts';
export * from './wouldMove.ts';
