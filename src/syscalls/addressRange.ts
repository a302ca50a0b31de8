/** Byte ranges of system calls as ranges of pages (PAGE_ALIGN and the overflow tests on it). */
import { PAGE_SIZE, type Vpn } from '../base/units.ts';

/** End of the address space in bytes, exclusive: x86-64 with four levels. */
export const TASK_SIZE: number = 2 ** 47;

/** Pages of a length in bytes, rounded up. */
export function pagesOf(len: number): number {
  return Math.ceil(len / PAGE_SIZE);
}

export function isPageAligned(address: number): boolean {
  return address % PAGE_SIZE === 0;
}

/** First page of an aligned address. */
export function pageOf(address: number): Vpn {
  return Math.floor(address / PAGE_SIZE);
}

/** Whether address + length, rounded up to pages, wraps around 64 bits. */
export function wrapsAround(address: number, len: number): boolean {
  return address + pagesOf(len) * PAGE_SIZE >= 2 ** 64;
}
