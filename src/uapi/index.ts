/** Linux's constants, spelled as Linux spells them. */
export * from './errno.ts';
export * from './gfp.ts';
export * from './gup.ts';
export * from './kernelPageFlags.ts';
export * from './mempolicy.ts';
export * from './migrate.ts';
export * from './mman.ts';
export * from './vmstat.ts';
export * from './zone.ts';
