/**
 * Events as lines of /sys/kernel/tracing/trace (kernel/trace/trace_output.c: trace_print_context),
 * which trace-cmd's, perf's and Perfetto's importers of ftrace text read.
 *
 * Not modelled: interrupts and preemption: the five flags are dots. Counters have no line.
 */
import type { Nanoseconds } from '../base/units.ts';
import type { EventFormat } from './eventFormat.ts';
import type { EventContext, EventSink } from './eventSink.ts';

const HEAD = `# tracer: nop
#
#                                _-----=> irqs-off/BH-disabled
#                               / _----=> need-resched
#                              | / _---=> hardirq/softirq
#                              || / _--=> preempt-depth
#                              ||| / _-=> migrate-disable
#                              |||| /     delay
#           TASK-PID     CPU#  |||||  TIMESTAMP  FUNCTION
#              | |         |   |||||     |         |
`;

/** Lines are written in pieces of about this many characters. */
const PIECE_CHARS = 65536;

export class FtraceText implements EventSink {
  readonly #write: (text: string) => void;
  #open = HEAD;

  constructor(write: (text: string) => void) {
    this.#write = write;
  }

  event(
    nowNs: Nanoseconds,
    task: EventContext,
    format: EventFormat,
    values: readonly number[],
  ): void {
    this.#open += `${contextText(nowNs, task)}${format.event}: ${format.text(values)}\n`;
    if (this.#open.length >= PIECE_CHARS) this.#flush();
  }

  counter(): void {}

  end(): void {
    this.#flush();
  }

  #flush(): void {
    this.#write(this.#open);
    this.#open = '';
  }
}

/** `         kswapd0-50      [000] .....     1.234567: ` */
function contextText(nowNs: Nanoseconds, { pid, cpu, comm }: EventContext): string {
  const us = Math.floor(nowNs / 1000);
  const seconds = String(Math.floor(us / 1_000_000)).padStart(5);
  const rest = String(us % 1_000_000).padStart(6, '0');
  const task = `${comm.slice(0, 15).padStart(16)}-${String(pid).padEnd(7)}`;
  return `${task} [${String(cpu).padStart(3, '0')}] ..... ${seconds}.${rest}: `;
}
