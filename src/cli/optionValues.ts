/**
 * Values of options as people type them: whole numbers, counts with a letter, shares, lists.
 * Errors: UserError that names the option.
 */
import { UserError } from '../base/assert.ts';

/** "1,2": words between commas. */
export function listOf(text: string): string[] {
  return text.split(',').filter((word) => word !== '');
}

/** A whole number in [min, max], in decimal digits. */
export function wholeNumber(option: string, text: string, min: number, max: number): number {
  const value = /^\d+$/.test(text) ? Number(text) : Number.NaN;
  if (value >= min && value <= max) return value;
  throw new UserError(`${option} ${text}`, `is not a whole number from ${min} to ${max}`);
}

/** A whole number, decimal or 0x…. */
export function decimalOrHex(option: string, text: string): number {
  if (/^\d+$/.test(text)) return Number(text);
  if (/^0x[0-9a-f]+$/i.test(text)) return Number.parseInt(text, 16);
  throw new UserError(`${option} ${text}`, 'is no whole number', 'a number, or 0x…');
}

const SCALES: Readonly<Record<string, number>> = { '': 1, k: 1e3, m: 1e6, g: 1e9 };

/** "5m" = 5,000,000; at least `min`. */
export function parseCount(option: string, text: string, min = 0): number {
  const match = /^(\d+(?:\.\d+)?)([kmg]?)$/i.exec(text);
  const value = Math.round(Number(match?.[1]) * (SCALES[(match?.[2] ?? '').toLowerCase()] ?? 0));
  if (match !== null && Number.isSafeInteger(value) && value >= min) return value;
  throw new UserError(`${option} ${text}`, 'is no number', 'a whole number such as 500000 or 5m');
}

/** "5%" or "0.05", where `isFit`. */
export function shareOf(option: string, text: string, isFit: (share: number) => boolean): number {
  const match = /^(\d+(?:\.\d+)?)(%?)$/.exec(text);
  const share = match === null ? Number.NaN : Number(match[1]) / (match[2] === '%' ? 100 : 1);
  if (match !== null && match[2] === '' && share > 1) {
    const remedy = `${text}% or, if it is meant, ${100 * share}%`;
    throw new UserError(`${option} ${text}`, 'is a share above 1 without its %', remedy);
  }
  if (isFit(share)) return share;
  throw new UserError(`${option} ${text}`, 'is no share', 'such as 5% or 0.05');
}
