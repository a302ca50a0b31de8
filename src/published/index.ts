/**
 * Published tables as experiments. The only door of published/. What needs yaml and zod stays
 * behind a dynamic import: `const { parseTable } = await publishedFileReader()`.
 */
export * from './cellRuns.ts';
export * from './curves.ts';
export * from './document.ts';
export * from './judge.ts';
export * from './publishedTable.ts';
export * from './reproduction.ts';
export * from './words.ts';

/** The reader of files of published tables: parseTable(). */
export function publishedFileReader(): Promise<typeof import('./tableFile.ts')> {
  return import('./tableFile.ts');
}
