/**
 * Events as bytes: opcode, thread, clock, then the fields of the kind in the order of its row.
 *
 * One table drives writing and reading, so both agree. An opcode is ITEM_EVENT + its row: rows are
 * never reordered or removed; a new row or field is a new format version (FORMATS.md).
 */
import { assert } from '../base/assert.ts';
import type { ByteReader, ByteWriter } from './bytes.ts';
import { OutOfBytes } from './bytes.ts';
import type { TraceEvent, TraceEventKind } from './event.ts';

/** u = whole number of 0 or more, s = signed whole number, t = text. */
type FieldType = 'u' | 's' | 't';

interface EventRow {
  readonly kind: TraceEventKind;
  readonly fields: readonly (readonly [name: string, type: FieldType])[];
}

function row(kind: TraceEventKind, fields: string): EventRow {
  const split = fields === '' ? [] : fields.split(' ');
  return { kind, fields: split.map((f) => [f.slice(0, -2), f.slice(-1) as FieldType] as const) };
}

export const EVENT_ROWS: readonly EventRow[] = [
  row('mmap', 'addr:u len:u prot:u flags:u file:s offset:u result:s'),
  row('munmap', 'addr:u len:u result:s'),
  row('mprotect', 'addr:u len:u prot:u result:s'),
  row('mremap', 'addr:u oldLen:u newLen:u flags:u newAddr:u result:s'),
  row('madvise', 'addr:u len:u advice:s result:s'),
  row('brk', 'addr:u result:s'),
  row('mlock', 'addr:u len:u flags:u result:s'),
  row('munlock', 'addr:u len:u result:s'),
  row('mlockall', 'flags:u result:s'),
  row('munlockall', 'result:s'),
  row('msync', 'addr:u len:u flags:u result:s'),
  row('mbind', 'addr:u len:u mode:u nodemask:u flags:u result:s'),
  row('set_mempolicy', 'mode:u nodemask:u result:s'),
  row('set_mempolicy_home_node', 'addr:u len:u homeNode:u flags:u result:s'),
  row('fork', 'child:u flags:u'),
  row('clone', 'thread:u flags:u'),
  row('exec', 'path:t'),
  row('exit', 'status:s'),
  row('exit_group', 'status:s'),
  row('open', 'file:s path:t sizeBytes:u'),
  row('read', 'file:s offset:u bytes:u addr:u'),
  row('write', 'file:s offset:u bytes:u addr:u'),
  row('ftruncate', 'file:s sizeBytes:u result:s'),
  row('fadvise', 'file:s offset:u len:u advice:s result:s'),
  row('fsync', 'file:s result:s'),
  row('marker', 'text:t'),
];

const ROW_OF = new Map(EVENT_ROWS.map((event, index) => [event.kind as string, index]));

/** Row number of an event kind; -1 for a kind that does not exist. */
export function eventRowOf(kind: string): number {
  return ROW_OF.get(kind) ?? -1;
}

/** Appends the fields of `event` (not its opcode, thread or clock). */
export function writeEventFields(out: ByteWriter, event: TraceEvent): void {
  const rowIndex = eventRowOf(event.kind);
  assert(rowIndex >= 0, `event kind ${event.kind}`);
  const values = event as unknown as Record<string, number | string>;
  for (const [name, type] of EVENT_ROWS[rowIndex]!.fields) {
    const value = values[name];
    if (type === 't') {
      assert(typeof value === 'string', `${event.kind}.${name} is no text`);
      out.text(value);
    } else {
      assert(typeof value === 'number', `${event.kind}.${name} is no number`);
      if (type === 'u') out.varint(value);
      else out.signed(value);
    }
  }
}

/** The event of row `rowIndex` whose fields come next in `from`. Errors: OutOfBytes. */
export function readEventFields(
  from: ByteReader,
  rowIndex: number,
  pid: number,
  tid: number,
  insn: number,
): TraceEvent {
  const eventRow = EVENT_ROWS[rowIndex];
  if (eventRow === undefined) throw new OutOfBytes(`unknown event kind ${rowIndex}`);
  const event: Record<string, number | string> = { kind: eventRow.kind, pid, tid, insn };
  for (const [name, type] of eventRow.fields) {
    event[name] = type === 't' ? from.text() : type === 'u' ? from.varint() : from.signed();
  }
  return event as unknown as TraceEvent;
}
