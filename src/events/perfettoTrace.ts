/**
 * Events as a Perfetto trace: TracePackets with TrackEvents, the interface that Perfetto keeps
 * stable (protos/perfetto/trace/trace_packet.proto, track_event/*.proto). ui.perfetto.dev and
 * trace_processor open it.
 *
 * A task is a thread track. Events that begin and end something (mm_migrate_pages_start and
 * mm_migrate_pages, kswapd_wake and kswapd_sleep) are slices, others instants; the tracepoint's
 * fields are debug annotations under the kernel's names. Counters are counter tracks.
 * Order: names of events and annotations are interned in the packet that first uses them.
 */
import type { Nanoseconds } from '../base/units.ts';
import type { EventFormat } from './eventFormat.ts';
import type { CounterTrack, EventContext, EventSink } from './eventSink.ts';
import { ProtoWriter } from './protoWriter.ts';

/** Field numbers, by message. */
const TRACE = { packet: 1 } as const;
const PACKET = {
  timestamp: 8,
  sequenceId: 10,
  trackEvent: 11,
  internedData: 12,
  sequenceFlags: 13,
  trackDescriptor: 60,
  firstOnSequence: 87,
} as const;
const DESCRIPTOR = { uuid: 1, name: 2, process: 3, thread: 4, parent: 5, counter: 8 } as const;
const PROCESS = { pid: 1, name: 6 } as const;
const THREAD = { pid: 1, tid: 2, name: 5 } as const;
const COUNTER = { unit: 3, unitMultiplier: 4, unitName: 6 } as const;
const EVENT = {
  annotations: 4,
  type: 9,
  nameIid: 10,
  trackUuid: 11,
  category: 22,
  doubleCounter: 44,
} as const;
const ANNOTATION = { nameIid: 1, int: 4, text: 6 } as const;
const INTERNED = { eventNames: 2, annotationNames: 3 } as const;
const NAME = { iid: 1, name: 2 } as const;

const SLICE_BEGIN = 1;
const SLICE_END = 2;
const INSTANT = 3;
const COUNTER_VALUE = 4;
const TYPE_OF = { begins: SLICE_BEGIN, ends: SLICE_END, instant: INSTANT } as const;

const STATE_CLEARED = 1;
const NEEDS_STATE = 2;
const SEQUENCE = 1;

const UNIT_COUNT = 2;
const UNIT_SIZE_BYTES = 3;

/** Track numbers: counters from here, a process and its threads from their pids. */
const COUNTER_UUID = 1;
const PROCESS_UUID = 1_000_000;
const THREAD_UUID = 2_000_000;

/** Packets are written in pieces of about this many bytes. */
const PIECE_BYTES = 65536;

export class PerfettoTrace implements EventSink {
  readonly #write: (bytes: Uint8Array) => void;
  readonly #open: ProtoWriter = new ProtoWriter();
  readonly #tracks: Set<number> = new Set();
  readonly #counters: Map<string, number> = new Map();
  readonly #eventNames: Map<string, number> = new Map();
  readonly #annotationNames: Map<string, number> = new Map();
  #isFirst = true;

  constructor(write: (bytes: Uint8Array) => void) {
    this.#write = write;
  }

  event(
    nowNs: Nanoseconds,
    task: EventContext,
    format: EventFormat,
    values: readonly number[],
  ): void {
    this.#describeTask(task);
    const interned = new ProtoWriter();
    const event = new ProtoWriter()
      .uint(EVENT.type, TYPE_OF[format.role])
      .uint(EVENT.trackUuid, THREAD_UUID + task.pid)
      .text(EVENT.category, format.system);
    const name = sliceName(format);
    event.uint(EVENT.nameIid, intern(this.#eventNames, name, INTERNED.eventNames, interned));
    for (const [i, field] of format.fields.entries()) {
      const names = this.#annotationNames;
      const annotation = new ProtoWriter().uint(
        ANNOTATION.nameIid,
        intern(names, field, INTERNED.annotationNames, interned),
      );
      const value = format.valueOf(i, values);
      if (typeof value === 'string') annotation.text(ANNOTATION.text, value);
      else annotation.uint(ANNOTATION.int, value);
      event.message(EVENT.annotations, annotation);
    }
    const packet = this.#packet().uint(PACKET.timestamp, nowNs).message(PACKET.trackEvent, event);
    if (interned.length > 0) packet.message(PACKET.internedData, interned);
    this.#add(packet);
  }

  counter(nowNs: Nanoseconds, track: CounterTrack, value: number): void {
    const event = new ProtoWriter()
      .uint(EVENT.type, COUNTER_VALUE)
      .uint(EVENT.trackUuid, this.#describeCounter(track))
      .double(EVENT.doubleCounter, value);
    this.#add(this.#packet().uint(PACKET.timestamp, nowNs).message(PACKET.trackEvent, event));
  }

  end(): void {
    this.#flush();
  }

  #describeTask({ pid, tgid, comm }: EventContext): void {
    if (!this.#tracks.has(PROCESS_UUID + tgid)) {
      const process = new ProtoWriter().uint(PROCESS.pid, tgid).text(PROCESS.name, comm);
      this.#describe(PROCESS_UUID + tgid, new ProtoWriter().message(DESCRIPTOR.process, process));
    }
    if (this.#tracks.has(THREAD_UUID + pid)) return;
    const thread = new ProtoWriter()
      .uint(THREAD.pid, tgid)
      .uint(THREAD.tid, pid)
      .text(THREAD.name, comm);
    const descriptor = new ProtoWriter()
      .uint(DESCRIPTOR.parent, PROCESS_UUID + tgid)
      .message(DESCRIPTOR.thread, thread);
    this.#describe(THREAD_UUID + pid, descriptor);
  }

  #describeCounter({ name, unit }: CounterTrack): number {
    const known = this.#counters.get(name);
    if (known !== undefined) return known;
    const uuid = COUNTER_UUID + this.#counters.size;
    this.#counters.set(name, uuid);
    const counter = new ProtoWriter();
    if (unit === 'KiB') {
      counter.uint(COUNTER.unit, UNIT_SIZE_BYTES).uint(COUNTER.unitMultiplier, 1024);
    } else counter.uint(COUNTER.unit, UNIT_COUNT).text(COUNTER.unitName, unit);
    const descriptor = new ProtoWriter()
      .text(DESCRIPTOR.name, name)
      .message(DESCRIPTOR.counter, counter);
    this.#describe(uuid, descriptor);
    return uuid;
  }

  #describe(uuid: number, descriptor: ProtoWriter): void {
    this.#tracks.add(uuid);
    descriptor.uint(DESCRIPTOR.uuid, uuid);
    this.#add(this.#packet().message(PACKET.trackDescriptor, descriptor));
  }

  #packet(): ProtoWriter {
    const packet = new ProtoWriter().uint(PACKET.sequenceId, SEQUENCE);
    if (!this.#isFirst) return packet.uint(PACKET.sequenceFlags, NEEDS_STATE);
    this.#isFirst = false;
    return packet.uint(PACKET.sequenceFlags, STATE_CLEARED).uint(PACKET.firstOnSequence, 1);
  }

  #add(packet: ProtoWriter): void {
    this.#open.message(TRACE.packet, packet);
    if (this.#open.length >= PIECE_BYTES) this.#flush();
  }

  #flush(): void {
    this.#write(this.#open.view());
    this.#open.clear();
  }
}

/** A slice has the name of both its ends: mm_vmscan_direct_reclaim. */
function sliceName({ event, role }: EventFormat): string {
  return role === 'instant' ? event : event.replace(/_(start|begin|wake|end|sleep)$/, '');
}

/** The number of a name; a new one is added to the packet's interned data. */
function intern(
  names: Map<string, number>,
  name: string,
  field: number,
  interned: ProtoWriter,
): number {
  const known = names.get(name);
  if (known !== undefined) return known;
  const iid = names.size + 1;
  names.set(name, iid);
  interned.message(field, new ProtoWriter().uint(NAME.iid, iid).text(NAME.name, name));
  return iid;
}
