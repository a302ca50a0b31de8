/**
 * Writes docs/guidance/zone-movable.md, measured on the compiled model: run `npm run build` first.
 *
 * Usage: node tools/guidance.mjs
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { labs } from '../dist/index.js';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const target = join(root, labs.GUIDANCE);
mkdirSync(dirname(target), { recursive: true });
writeFileSync(target, labs.guidanceDocument());
process.stdout.write(`${labs.GUIDANCE}\n`);
