/** Traces of program runs: what replay consumes, the file format, importers and exporters. */

export * from './byteStream.ts';
export { ByteReader, ByteWriter, OutOfBytes } from './bytes.ts';
export * from './codec.ts';
export {
  type CutRange,
  type CutSelection,
  cutReaderOptions,
  cutSteps,
  WHOLE,
} from './cut.ts';
export * from './event.ts';
export { EXPORT_FORMATS, type ExportFormat, exportSteps } from './exportText.ts';
export * from './header.ts';
export {
  IMPORT_FORMAT_NAMES,
  type ImportOptions,
  type ImportResult,
  importSteps,
} from './import/guess.ts';
export { FORMAT_VERSION } from './layout.ts';
export * from './regionTable.ts';
export * from './source.ts';
export * from './steps.ts';
export * from './summary.ts';
export { TogetherSource } from './together.ts';
export * from './traceReader.ts';
export * from './traceWriter.ts';
export { xxhash32 } from './xxhash32.ts';
export * from './zstd.ts';
