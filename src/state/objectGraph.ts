/**
 * The tags of an object graph on disk. A value is a tag and what the tag says follows. An object
 * gets the next number where it is met first; its contents follow after the value at hand, objects
 * in the order of their numbers. So nothing nests deep, and what was one object is one again.
 */

export const UNDEFINED = 0;
export const NULL = 1;
export const FALSE = 2;
export const TRUE = 3;
/** A whole number below 2^52, signed. */
export const WHOLE = 4;
/** Eight bytes, IEEE 754. */
export const DOUBLE = 5;
export const TEXT = 6;
/** The number of an object met before. */
export const KNOWN = 7;
/** New objects. Contents: values; keys and values in turn; values. */
export const ARRAY = 8; // length
export const MAP = 9; // size
export const SET = 10; // size
/** Shape: the number of a list of keys; the next free number is followed by count and keys. */
export const RECORD = 11;
/** Class; contents: the values of its fields. */
export const INSTANCE = 12;
/** Type of the elements, length; contents as columns.ts says. */
export const COLUMN = 13;

/** Numbers that WHOLE can hold. */
export function isWhole(value: number): boolean {
  return Number.isInteger(value) && Math.abs(value) < 2 ** 52 && !Object.is(value, -0);
}
