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
  /** `fields`, and those that whoever boots the kernel sets: functions, room for a walk. */
  readonly names: ReadonlySet<string>;
  /** An instance whose fields do not matter; null: a booted kernel has all there are. */
  readonly make: (() => object) | null;
}

/** `fields`, and `wired` ones that are not saved, are names between spaces. */
export function savedClass(
  type: Class,
  fields: string,
  make: (() => object) | null = null,
  wired = '',
): SavedClass {
  const words = (text: string) => text.split(/\s+/).filter((word) => word !== '');
  const saved = words(fields);
  const names = new Set([...saved, ...words(wired)]);
  return { type, name: type.name, fields: saved, names, make };
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
  const unnamed = Object.keys(object).find((name) => !one.names.has(name));
  assert(unnamed === undefined, `${one.name}.${unnamed} is missing in src/state/classes.ts`);
  return one.fields.map((name) => {
    if (!name.startsWith('#')) return Reflect.get(object, name);
    const key = name.slice(1);
    assert(Object.hasOwn(hidden, key), `${one.name}.privateFields lacks ${key}`);
    return Reflect.get(hidden, key);
  });
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
