/** MADV_FREE: a page may show its value or zero; once zero was seen it stays zero. */
import type { ModelPage } from './model.ts';

export const LAZY_SETTLED = true;

/** LAZY_SETTLED if the page was lazily freed and `got` is the zero it may show from now on. */
export function settle(page: ModelPage, got: number): boolean {
  if (!page.lazy || got !== 0) return false;
  // A page that held zero before may still be there, and lose what a device stores into it.
  page.lazy = page.word === null;
  page.word = null;
  return LAZY_SETTLED;
}
