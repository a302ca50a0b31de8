/**
 * What a saved state knows of a class: its fields by name, private ones as `#name`. Private fields
 * are reached through the class's own `privateFields`, which gives an object with a property a
 * field; one that is replaced as a whole, not changed in place, has a setter there.
 */
import { assert } from '../base/assert.ts';

// biome-ignore lint/complexity/noBannedTypes: any class.
type Class = Function & { privateFields?: (of: never) => object };

export interface SavedClass {
  readonly type: Class;
  readonly name: string;
  /** In the order in which the file has them. */
  readonly fields: readonly string[];
  /** Set by whoever boots the kernel, so not saved: functions, room for a walk in progress. */
  readonly wired: readonly string[];
  /** An instance whose fields do not matter; null: a booted kernel has all there are. */
  readonly make: (() => object) | null;
}

/** `fields` and `wired` are names between spaces. */
export function savedClass(
  type: Class,
  fields: string,
  make: (() => object) | null = null,
  wired = '',
): SavedClass {
  const words = (text: string) => text.split(/\s+/).filter((word) => word !== '');
  return { type, name: type.name, fields: words(fields), wired: words(wired), make };
}

/** The classes by constructor and by number in the file. */
export class SavedClasses {
  readonly list: readonly SavedClass[];
  readonly #numbers: ReadonlyMap<unknown, number>;

  constructor(list: readonly SavedClass[]) {
    this.list = list;
    this.#numbers = new Map(list.map((one, n) => [one.type, n]));
  }

  /** The number of an object's class, or -1 for a plain object. Asserts that it is listed. */
  numberOf(object: object): number {
    const prototype = Object.getPrototypeOf(object);
    if (prototype === Object.prototype || prototype === null) return -1;
    const number = this.#numbers.get(prototype.constructor);
    assert(number !== undefined, `class ${prototype.constructor.name} is not listed in src/state`);
    return number;
  }

  /** One line a class: what a reader must agree with. */
  get layout(): string {
    return this.list.map((one) => `${one.name} ${one.fields.join(' ')}`).join('\n');
  }
}

/** Values of the fields, in order. Asserts that the object has no public field besides. */
export function readFields(one: SavedClass, object: object): unknown[] {
  const hidden = privatesOf(one, object);
  let known = one.wired.filter((name) => Object.hasOwn(object, name)).length;
  const values = one.fields.map((name) => {
    if (name.startsWith('#')) return Reflect.get(hidden, name.slice(1));
    if (Object.hasOwn(object, name)) known++;
    return Reflect.get(object, name);
  });
  const own = Object.keys(object);
  const isWhole = known === own.length;
  assert(isWhole, `a field of ${one.name} is missing in src/state/classes.ts: ${own.join(' ')}`);
  return values;
}

/** Puts a value back; asserts that a private field without a setter holds it already. */
export function writeField(one: SavedClass, object: object, name: string, value: unknown): void {
  const target = name.startsWith('#') ? privatesOf(one, object) : object;
  const key = name.startsWith('#') ? name.slice(1) : name;
  if (Reflect.get(target, key) === value) return;
  const property = Object.getOwnPropertyDescriptor(target, key);
  const isSettable = target === object || property?.set !== undefined;
  assert(isSettable, `${one.name}.${name} is replaced: its privateFields lacks a setter`);
  Reflect.set(target, key, value);
}

function privatesOf(one: SavedClass, object: object): object {
  return one.type.privateFields?.(object as never) ?? {};
}
