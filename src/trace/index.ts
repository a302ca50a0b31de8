/** Traces of program runs: what replay consumes, the file format, importers and exporters. */

export * from './byteStream.ts';
export * from './codec.ts';
export * from './event.ts';
export * from './header.ts';
export {
  IMPORT_FORMAT_NAMES,
  type ImportOptions,
  type ImportResult,
  importTrace,
} from './import/guess.ts';
export { FORMAT_VERSION } from './layout.ts';
export * from './regionTable.ts';
export * from './source.ts';
export * from './summary.ts';
export * from './traceReader.ts';
export * from './traceWriter.ts';
export * from './zstd.ts';
