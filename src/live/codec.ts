/** Trace files on Node: block codecs, and files as byte sources. */
export * from './blockCodec.ts';
export * from './traceFile.ts';
