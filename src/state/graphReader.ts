/**
 * Reads graphs of objects *onto* a template: what the template has in the same place and of the
 * same kind is filled, so that functions and caches which hold it keep holding the right object;
 * the rest is made. Plain objects are always made: some are constants of the program.
 * Errors: OutOfBytes for bytes that are no graph.
 */
import { assert } from '../base/assert.ts';
import { type ByteReader, OutOfBytes } from '../trace/index.ts';
import { COLUMN_TYPES, type Column, readColumn } from './columns.ts';
import {
  ARRAY,
  COLUMN,
  DOUBLE,
  FALSE,
  INSTANCE,
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
import { readFields, type SavedClasses, writeField } from './savedClass.ts';

/** Elements of one collection: more is no state but damage. */
const LENGTH_MAX = 2 ** 32;

interface Pending {
  readonly object: object;
  /** Entries of a collection, the shape of a record, the class of an instance. */
  readonly size: number;
  readonly tag: number;
}

export class GraphReader {
  readonly #in: ByteReader;
  readonly #classes: SavedClasses;
  readonly #objects: object[] = [];
  readonly #shapes: (readonly string[])[] = [];
  /** Objects of the template that are taken. */
  readonly #claimed = new Set<object>();
  #pending: Pending[] = [];

  constructor(from: ByteReader, classes: SavedClasses) {
    this.#in = from;
    this.#classes = classes;
  }

  /** The next value; `template` is what stands in its place. */
  read(template: unknown): unknown {
    const value = this.#value(template);
    for (let n = 0; n < this.#pending.length; n++) this.#fill(this.#pending[n]);
    this.#pending = [];
    return value;
  }

  #value(template: unknown): unknown {
    const tag = this.#in.u8();
    switch (tag) {
      case UNDEFINED:
        return undefined;
      case NULL:
        return null;
      case FALSE:
        return false;
      case TRUE:
        return true;
      case WHOLE:
        return this.#in.signed();
      case DOUBLE:
        return this.#double();
      case TEXT:
        return this.#in.text();
      case KNOWN:
        return this.#known();
      default:
        return this.#object(tag, template);
    }
  }

  #double(): number {
    const bytes = new Uint8Array(8);
    for (let i = 0; i < 8; i++) bytes[i] = this.#in.u8();
    return new Float64Array(bytes.buffer)[0];
  }

  #known(): object {
    const object = this.#objects[this.#in.varint()];
    if (object === undefined) throw new OutOfBytes('number of an object');
    return object;
  }

  #object(tag: number, template: unknown): object {
    const first = this.#in.varint();
    if (first > LENGTH_MAX) throw new OutOfBytes('length');
    let object: object;
    let size = first;
    if (tag === COLUMN) {
      size = this.#in.varint();
      object = this.#column(first, size, template);
    } else if (tag === ARRAY) object = this.#claim(template, Array.isArray(template)) ?? [];
    else if (tag === MAP) object = this.#claim(template, template instanceof Map) ?? new Map();
    else if (tag === SET) object = this.#claim(template, template instanceof Set) ?? new Set();
    else if (tag === RECORD) {
      this.#shape(first);
      object = {};
    } else if (tag === INSTANCE) object = this.#instance(first, template);
    else throw new OutOfBytes('tag');
    this.#objects.push(object);
    this.#pending.push({ object, size, tag });
    return object;
  }

  /** The template if it is of the right kind and not taken. */
  #claim(template: unknown, isRight: boolean): object | null {
    if (!isRight || this.#claimed.has(template as object)) return null;
    this.#claimed.add(template as object);
    return template as object;
  }

  #column(type: number, length: number, template: unknown): Column {
    const make = COLUMN_TYPES[type];
    if (make === undefined || length > LENGTH_MAX) throw new OutOfBytes('column');
    const fits = template instanceof make && template.length === length;
    return (this.#claim(template, fits) as Column | null) ?? new make(length);
  }

  #instance(number: number, template: unknown): object {
    const one = this.#classes.list[number];
    if (one === undefined) throw new OutOfBytes('class');
    const isRight = template instanceof one.type && template.constructor === one.type;
    const object = this.#claim(template, isRight) ?? one.make?.();
    assert(object !== undefined, `a booted kernel lacks a ${one.name} that the state has`);
    return object;
  }

  #shape(number: number): void {
    if (number < this.#shapes.length) return;
    if (number > this.#shapes.length) throw new OutOfBytes('shape');
    const keys: string[] = [];
    for (let left = this.#in.varint(); left > 0; left--) keys.push(this.#in.text());
    this.#shapes.push(keys);
  }

  #fill({ object, size, tag }: Pending): void {
    if (tag === COLUMN) readColumn(this.#in, object as Column);
    else if (tag === ARRAY) this.#fillArray(object as unknown[], size);
    else if (tag === MAP) {
      const map = object as Map<unknown, unknown>;
      map.clear();
      for (let n = 0; n < size; n++) map.set(this.#value(undefined), this.#value(undefined));
    } else if (tag === SET) {
      const set = object as Set<unknown>;
      set.clear();
      for (let n = 0; n < size; n++) set.add(this.#value(undefined));
    } else if (tag === RECORD) {
      for (const key of this.#shapes[size]) Reflect.set(object, key, this.#value(undefined));
    } else this.#fillInstance(object, size);
  }

  #fillArray(array: unknown[], length: number): void {
    const before = array.splice(0);
    for (let n = 0; n < length; n++) array.push(this.#value(before[n]));
  }

  #fillInstance(object: object, number: number): void {
    const one = this.#classes.list[number];
    const before = readFields(one, object);
    one.fields.forEach((name, n) => {
      writeField(one, object, name, this.#value(before[n]));
    });
  }
}
