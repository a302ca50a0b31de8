/** What needs the machine we run on: files, processes, compression, recording. */
export * from './codec.ts';
export * from './record.ts';
