/** Virtual time, events and tracepoints: the machinery every run stands on. */
export * from './clock.ts';
export * from './eventQueue.ts';
export * from './tracepoint.ts';
