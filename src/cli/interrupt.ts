/**
 * ^C, SIGTERM and SIGHUP: a run that is stopped leaves nothing half-written and exits with
 * 128 + signal, as a shell expects (130 for ^C).
 *
 * Node runs signal handlers between events only, so a handler of ours would make ^C useless while a
 * long calculation holds the main thread. Therefore one is installed only while something needs to
 * be undone; otherwise the signal ends the process at once. Commands that hold an OutputFile open
 * give the event loop a turn (`await setImmediate()`) at least every 100 ms or work in a worker.
 *
 * Order: the newest `onInterrupt` handler decides what the first signal does; a second signal, or
 * the first when there is no handler, runs all clean-ups, newest first, and exits.
 */

type Signal = 'SIGINT' | 'SIGTERM' | 'SIGHUP';
const SIGNALS: readonly Signal[] = ['SIGINT', 'SIGTERM', 'SIGHUP'];
const EXIT_CODE: Readonly<Record<Signal, number>> = { SIGHUP: 129, SIGINT: 130, SIGTERM: 143 };

const cleanUps: (() => void)[] = [];
const handlers: ((signal: Signal) => void)[] = [];
let isInterrupted = false;
let isListening = false;

/** Runs `undo` if the process is stopped before the returned function was called. */
export function onCleanUp(undo: () => void): () => void {
  return register(cleanUps, undo);
}

/**
 * The first signal calls `handler` instead of ending the process: a recording stops its program and
 * finishes the trace. A second signal ends the process. The returned function takes it back.
 */
export function onInterrupt(handler: (signal: Signal) => void): () => void {
  return register(handlers, handler);
}

/** Undoes what is unfinished; for every exit that does not go through the normal end. */
export function cleanUp(): void {
  for (let undo = cleanUps.pop(); undo !== undefined; undo = cleanUps.pop()) undo();
}

function register<T>(list: T[], item: T): () => void {
  list.push(item);
  listen();
  return () => {
    const at = list.lastIndexOf(item);
    if (at >= 0) list.splice(at, 1);
    listen();
  };
}

function listen(): void {
  const isNeeded = cleanUps.length + handlers.length > 0;
  if (isNeeded === isListening) return;
  isListening = isNeeded;
  for (const signal of SIGNALS) {
    if (isNeeded) process.on(signal, stop);
    else process.off(signal, stop);
  }
}

function stop(signal: Signal): void {
  const handler = handlers.at(-1);
  if (handler !== undefined && !isInterrupted) {
    isInterrupted = true;
    handler(signal);
    return;
  }
  cleanUp();
  process.exit(EXIT_CODE[signal]);
}
