/** hetmem as a library. */
export * from './base/assert.ts';
