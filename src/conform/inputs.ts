/** Reading the inputs of a step with their types. Errors: UserError that names step and field. */
import { UserError } from '../base/assert.ts';
import type { Fields, Json, Step } from './caseFile.ts';

/** A verb, look, or variant of one that the model does not have: the case is skipped. */
export class NotModelled extends Error {
  override name = 'NotModelled';
}

/** The inputs of one step. `place` is what errors begin with. */
export class Inputs {
  readonly name: string;
  readonly fields: Fields;
  readonly place: string;
  readonly expect: Fields | null;

  constructor(step: Step, place: string) {
    this.name = step.name;
    this.fields = step.fields;
    this.expect = step.expect;
    this.place = place;
  }

  has(field: string): boolean {
    return this.fields[field] !== undefined;
  }

  get(field: string): Json | undefined {
    return this.fields[field];
  }

  string(field: string): string {
    const value = this.fields[field];
    if (typeof value === 'string') return value;
    throw this.wrong(field, 'a text');
  }

  stringOr(field: string, otherwise: string): string {
    return this.has(field) ? this.string(field) : otherwise;
  }

  integer(field: string): number {
    const value = this.fields[field];
    if (typeof value === 'number' && Number.isInteger(value)) return value;
    throw this.wrong(field, 'a whole number');
  }

  integerOr(field: string, otherwise: number): number {
    return this.has(field) ? this.integer(field) : otherwise;
  }

  /** A list of texts; absent = empty. */
  names(field: string): string[] {
    const value = this.fields[field] ?? [];
    if (Array.isArray(value) && value.every((name) => typeof name === 'string')) return value;
    throw this.wrong(field, 'a list of names');
  }

  /** A list of whole numbers. */
  integers(field: string): number[] {
    const value = this.fields[field];
    if (Array.isArray(value) && value.every((n) => Number.isInteger(n))) return value as number[];
    throw this.wrong(field, 'a list of whole numbers');
  }

  /** "0x700000000000" as a number; absent = 0, no hint. */
  address(field: string): number {
    if (!this.has(field)) return 0;
    const value = Number(this.string(field));
    if (Number.isInteger(value) && value >= 0) return value;
    throw this.wrong(field, 'an address in hexadecimal');
  }

  /** Flags by name or as "0x8", or-ed together. */
  flags(field: string, known: Readonly<Record<string, number>>): number {
    let flags = 0;
    for (const name of this.names(field)) {
      const value = name.startsWith('0x') ? Number(name) : known[name];
      if (value === undefined || Number.isNaN(value)) {
        throw this.wrong(field, `of ${Object.keys(known).join(', ')}`);
      }
      flags |= value;
    }
    return flags;
  }

  wrong(field: string, wanted: string): UserError {
    const value = JSON.stringify(this.fields[field]) ?? 'missing';
    return new UserError(this.place, `${this.name}: ${field} is ${value}`, `wanted ${wanted}`);
  }
}
