/**
 * Content of user pages, one word each, for models that track it (KernelOptions.trackContent):
 * what a program stores and loads. The access itself is accessPage.
 */
import type { Vpn } from '../base/units.ts';
import { accessPage, FAULT_ERROR } from './fault.ts';
import type { Kernel } from './kernel.ts';
import { PAGE_SPECIAL, PAGE_ZERO, pageAt } from './pageWalk.ts';
import type { Task } from './task.ts';

/** Writes a page and makes `word` its content. Returns the outcome bits of the access. */
export function storeWord(k: Kernel, task: Task, vpn: Vpn, word: number): number {
  const outcome = accessPage(k, task, vpn, true);
  if ((outcome & FAULT_ERROR) !== 0 || k.frames.content === null) return outcome;
  const page = pageAt(k, task.mm!, vpn);
  if (page >= 0) k.frames.content[page] = word;
  return outcome;
}

/** What loadWord answers when the access ends in a signal. */
export const LOAD_FAILED = -1;

/** Reads a page: its content word, or LOAD_FAILED. */
export function loadWord(k: Kernel, task: Task, vpn: Vpn): number {
  if ((accessPage(k, task, vpn, false) & FAULT_ERROR) !== 0) return LOAD_FAILED;
  const page = pageAt(k, task.mm!, vpn);
  if (page === PAGE_ZERO || page === PAGE_SPECIAL || k.frames.content === null) return 0;
  return k.frames.content[page];
}
