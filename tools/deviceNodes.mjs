/**
 * Writes docs/model/device-nodes.md, tried on the compiled model: run `npm run build` first.
 *
 * Usage: node tools/deviceNodes.mjs
 */
import { writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { labs } from '../dist/index.js';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
writeFileSync(join(root, labs.NODES_DOCUMENT), labs.nodesDocument());
process.stdout.write(`${labs.NODES_DOCUMENT}\n`);
