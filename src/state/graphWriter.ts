/**
 * Writes graphs of objects: plain values, collections, typed arrays, instances of listed classes.
 */
import { assert } from '../base/assert.ts';
import { ByteWriter } from '../trace/index.ts';
import { type Column, columnType, writeColumn } from './columns.ts';
import {
  ARRAY,
  COLUMN,
  DOUBLE,
  FALSE,
  INSTANCE,
  isWhole,
  KNOWN,
  MAP,
  NULL,
  RECORD,
  SET,
  TEXT,
  TRUE,
  UNDEFINED,
  WHOLE,
} from './objectGraph.ts';
import { readFields, type SavedClasses } from './savedClass.ts';

export class GraphWriter {
  readonly out: ByteWriter = new ByteWriter(1 << 16);
  readonly #classes: SavedClasses;
  readonly #numbers = new Map<object, number>();
  readonly #shapes = new Map<string, number>();
  readonly #pending: object[] = [];

  constructor(classes: SavedClasses) {
    this.#classes = classes;
  }

  /** One value with all that it leads to and that was not written before. */
  write(value: unknown): void {
    this.#value(value);
    for (let n = 0; n < this.#pending.length; n++) this.#contents(this.#pending[n]);
    this.#pending.length = 0;
  }

  #value(value: unknown): void {
    const { out } = this;
    if (typeof value === 'number') this.#number(value);
    else if (value === undefined) out.u8(UNDEFINED);
    else if (value === null) out.u8(NULL);
    else if (typeof value === 'boolean') out.u8(value ? TRUE : FALSE);
    else if (typeof value === 'string') {
      out.u8(TEXT);
      out.text(value);
    } else {
      assert(typeof value === 'object', `a ${typeof value} cannot be saved`);
      this.#object(value);
    }
  }

  #number(value: number): void {
    if (isWhole(value)) {
      this.out.u8(WHOLE);
      this.out.signed(value);
      return;
    }
    this.out.u8(DOUBLE);
    this.out.raw(new Uint8Array(Float64Array.of(value).buffer));
  }

  #object(value: object): void {
    const known = this.#numbers.get(value);
    if (known !== undefined) {
      this.out.u8(KNOWN);
      this.out.varint(known);
      return;
    }
    this.#numbers.set(value, this.#numbers.size);
    this.#pending.push(value);
    this.#introduce(value);
  }

  /** What a reader needs to make the empty object. */
  #introduce(value: object): void {
    const { out } = this;
    const type = columnType(value);
    if (type >= 0) {
      out.u8(COLUMN);
      out.varint(type);
      out.varint((value as Column).length);
    } else if (Array.isArray(value)) {
      out.u8(ARRAY);
      out.varint(value.length);
    } else if (value instanceof Map || value instanceof Set) {
      out.u8(value instanceof Map ? MAP : SET);
      out.varint(value.size);
    } else {
      const number = this.#classes.numberOf(value);
      out.u8(number < 0 ? RECORD : INSTANCE);
      if (number < 0) this.#shape(Object.keys(value));
      else out.varint(number);
    }
  }

  #shape(keys: readonly string[]): void {
    const name = JSON.stringify(keys);
    const known = this.#shapes.get(name);
    this.out.varint(known ?? this.#shapes.size);
    if (known !== undefined) return;
    this.#shapes.set(name, this.#shapes.size);
    this.out.varint(keys.length);
    for (const key of keys) this.out.text(key);
  }

  #contents(value: object): void {
    if (columnType(value) >= 0) writeColumn(this.out, value as Column);
    else if (Array.isArray(value)) for (const item of value) this.#value(item);
    else if (value instanceof Map) {
      for (const [key, item] of value) {
        this.#value(key);
        this.#value(item);
      }
    } else if (value instanceof Set) for (const item of value) this.#value(item);
    else {
      const number = this.#classes.numberOf(value);
      const values =
        number < 0 ? Object.values(value) : readFields(this.#classes.list[number], value);
      for (const item of values) this.#value(item);
    }
  }
}
