/** Traces of program runs: what replay consumes, the file format, importers and exporters. */
export * from './event.ts';
export * from './header.ts';
export * from './source.ts';
