/** Heat: what sources saw of pages, and the arithmetic on it. The only door of heat/. */
export * from './heatTable.ts';
export * from './pageIndex.ts';
