/** A C source of many functions with loops, branches, switches and calls, for a compiler. */
import { writeFileSync } from 'node:fs';
import { xorshift } from './xorshift.mjs';

const HEAD = `typedef struct node {
  struct node *next, *prev; long key, value; double weight; char tag[16];
} node;
extern long sink(long, ...);
`;

/**
 * Writes `nrFunctions` functions to `path`; already preprocessed.
 *
 * @param {string} path
 * @param {number} nrFunctions
 */
export function writeCSource(path, nrFunctions) {
  const draw = xorshift(1234567);
  const parts = [HEAD];
  for (let f = 0; f < nrFunctions; f++) {
    parts.push(`static __attribute__((noinline)) long f${f}(node *a, long x, double w) {\n`);
    parts.push('  long t = x;\n');
    const nrStatements = 8 + draw(14);
    for (let s = 0; s < nrStatements; s++) parts.push(`  ${statement(draw, f, s)}\n`);
    parts.push('  return t;\n}\n');
  }
  parts.push('long all(node *a) {\n  long t = 0;\n');
  for (let f = 0; f < nrFunctions; f++) parts.push(`  t += f${f}(a, t, ${f % 17}.0);\n`);
  parts.push('  return t;\n}\n');
  writeFileSync(path, parts.join(''));
}

/**
 * Statement `s` of function `f`.
 *
 * @param {(below: number) => number} draw
 * @param {number} f
 * @param {number} s
 */
function statement(draw, f, s) {
  switch (draw(6)) {
    case 0:
      return `for (long i${s} = 0; i${s} < x + ${draw(50)}; i${s}++) {
    t += a->key * i${s} ^ ${draw(9999)}; a = a->next;
  }`;
    case 1:
      return `if (t % ${3 + draw(90)} == ${draw(3)}) {
    a->value += t * ${draw(99)}; a->weight *= w + ${draw(99)}.5;
  } else t -= a->value >> ${draw(9)};`;
    case 2:
      return f > 0 ? `t ^= f${draw(f)}(a->prev, t & ${draw(255)}, w);` : ';';
    case 3:
      return `switch (t & 7) {
    case 0: t += ${draw(99)}; break;
    case 1: a->tag[t & 15] = ${draw(99)}; break;
    case 3: t = a->key; break;
    default: t -= ${draw(9)};
  }`;
    case 4:
      return `t = sink(t, x, "s${draw(1000000)}", a->key, w > ${draw(99)});`;
    default:
      return `a->key = t + a->value * ${draw(77)}; x += a->tag[${draw(16)}];`;
  }
}
