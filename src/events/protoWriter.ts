/** Protocol buffers, as far as they are written: fields of a message in proto2's wire format. */
import { ByteWriter } from '../trace/index.ts';

const VARINT = 0;
const FIXED64 = 1;
const LENGTH_DELIMITED = 2;

const double = new Float64Array(1);
const doubleBytes = new Uint8Array(double.buffer);

/** One message being written. */
export class ProtoWriter {
  readonly #bytes: ByteWriter = new ByteWriter();

  /** uint32, uint64, int32 and int64 that are not negative, bool, enum. */
  uint(field: number, value: number): this {
    this.#tag(field, VARINT);
    this.#bytes.varint(value);
    return this;
  }

  double(field: number, value: number): this {
    this.#tag(field, FIXED64);
    double[0] = value;
    this.#bytes.raw(doubleBytes);
    return this;
  }

  text(field: number, value: string): this {
    this.#tag(field, LENGTH_DELIMITED);
    this.#bytes.text(value);
    return this;
  }

  message(field: number, value: ProtoWriter): this {
    const bytes = value.view();
    this.#tag(field, LENGTH_DELIMITED);
    this.#bytes.varint(bytes.length);
    this.#bytes.raw(bytes);
    return this;
  }

  get length(): number {
    return this.#bytes.length;
  }

  clear(): void {
    this.#bytes.clear();
  }

  /** What was written; valid until the next write. */
  view(): Uint8Array {
    return this.#bytes.view();
  }

  #tag(field: number, wire: number): void {
    this.#bytes.varint(field * 8 + wire);
  }
}
