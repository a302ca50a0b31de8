/** Heat: what sources saw of pages, and the arithmetic on it. The only door of heat/. */
export * from './cooling.ts';
export * from './heatTable.ts';
export * from './histogram.ts';
export * from './pageIndex.ts';
export * from './ranking.ts';
export * from './rowLists.ts';
