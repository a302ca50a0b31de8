/** Virtual time, events, named randomness and tracepoints: the machinery every run stands on. */
export * from './clock.ts';
export * from './eventQueue.ts';
export * from './randomStreams.ts';
export * from './traceBuffer.ts';
export * from './tracepoint.ts';
