/**
 * Powers with a broken exponent from + - * / alone. Engines may round Math.pow, exp and log
 * differently in the last bit, and a workload must be the same bytes everywhere.
 *
 * ln by the series of artanh, exp by Taylor's, both after reducing the argument. Relative error
 * below 1e-14 for what workloads need: whole numbers up to 2^31, exponents from -4 to 4.
 */
import { assert } from '../base/assert.ts';

const LN_TERMS = 12;
const EXP_TERMS = 16;

/** Natural logarithm of a whole number from 1 to 2^31 - 1. */
export function lnOf(x: number): number {
  assert(Number.isInteger(x) && x >= 1 && x < 2 ** 31, `the logarithm of ${x}`);
  let exponent = 31 - Math.clz32(x);
  let mantissa = x / 2 ** 30;
  for (let e = exponent; e < 30; e++) mantissa *= 2;
  if (mantissa > Math.SQRT2) {
    mantissa /= 2;
    exponent++;
  }
  const s = (mantissa - 1) / (mantissa + 1);
  const square = s * s;
  let sum = 0;
  for (let k = LN_TERMS; k >= 0; k--) sum = sum * square + 1 / (2 * k + 1);
  return 2 * s * sum + exponent * Math.LN2;
}

/** e to the power of y, for y from -100 to 100. */
export function expOf(y: number): number {
  assert(y >= -100 && y <= 100, `e to the power of ${y}`);
  const twos = Math.round(y / Math.LN2);
  const r = y - twos * Math.LN2;
  let sum = 1;
  for (let k = EXP_TERMS; k >= 1; k--) sum = 1 + (sum * r) / k;
  for (let k = 0; k < twos; k++) sum *= 2;
  for (let k = 0; k > twos; k--) sum /= 2;
  return sum;
}

/** x to the power of `exponent`, for whole x from 1 to 2^31 - 1. */
export function powerOf(x: number, exponent: number): number {
  return expOf(lnOf(x) * exponent);
}
