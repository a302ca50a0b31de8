/** Events of the model's tracepoints as ftrace text and as Perfetto traces. The only door. */
export * from './eventFormat.ts';
export * from './eventRecorder.ts';
export * from './eventSink.ts';
export * from './ftraceText.ts';
export * from './perfettoTrace.ts';
export * from './symbols.ts';
