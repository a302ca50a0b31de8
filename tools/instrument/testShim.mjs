/**
 * Stands in for `vitest` where tests are run many times in one process: collects them as functions
 * and leaves the running to the caller (globalThis.hetmemTests). The matchers are vitest's own.
 */
import { chai, JestAsymmetricMatchers, JestChaiExpect, JestExtend } from '@vitest/expect';

chai.use(JestExtend);
chai.use(JestChaiExpect);
chai.use(JestAsymmetricMatchers);

/** @typedef {{ name: string, run: () => unknown }} CollectedTest */

/** @type {CollectedTest[]} */
const tests = [];
Object.assign(globalThis, { hetmemTests: tests });

/** @type {string[]} */
const groups = [];
/** Hooks of the file that is being collected. @type {(() => void)[]} */
let hooks = [];

/** @type {any} */
export const expect = (/** @type {unknown} */ value, /** @type {string} */ message) =>
  chai.expect(value, message);

for (const name of ['any', 'anything', 'arrayContaining', 'objectContaining', 'stringContaining']) {
  expect[name] = (/** @type {unknown[]} */ ...args) =>
    /** @type {any} */ (chai.expect)[name](...args);
}

/** @param {() => void} hook */
export function beforeEach(hook) {
  hooks.push(hook);
}

/** @param {() => void} hook */
export function afterEach(hook) {
  throw new Error(`afterEach is not for tests that are run many times: ${hook}`);
}

/** Called before the next file is imported. */
Object.assign(globalThis, {
  hetmemNextFile: () => {
    hooks = [];
  },
});

/**
 * @param {string} name
 * @param {(...args: any[]) => unknown} run
 * @param {readonly unknown[]} args
 */
function collect(name, run, args) {
  const own = hooks;
  const full = [...groups, name].join(' > ');
  const withHooks = () => {
    for (const hook of own) hook();
    return run(...args);
  };
  tests.push({ name: full, run: withHooks });
}

const context = { skip: () => {} };

/** @type {any} */
export const it = (/** @type {string} */ name, /** @type {any} */ run) => collect(name, run, []);
it.each =
  (/** @type {readonly unknown[]} */ rows) =>
  (/** @type {string} */ name, /** @type {any} */ run) => {
    rows.forEach((row, i) => {
      collect(`${name} #${i}`, run, Array.isArray(row) ? row : [row]);
    });
  };
it.for =
  (/** @type {readonly unknown[]} */ rows) =>
  (/** @type {string} */ name, /** @type {any} */ run) => {
    rows.forEach((row, i) => {
      collect(`${name} #${i}`, run, [row, context]);
    });
  };
it.runIf = (/** @type {boolean} */ isRun) => (isRun ? it : () => {});
export const test = it;

/** @type {any} */
export const describe = (/** @type {string} */ name, /** @type {() => void} */ body) => {
  groups.push(name);
  body();
  groups.pop();
};
describe.each =
  (/** @type {readonly unknown[]} */ rows) =>
  (/** @type {string} */ name, /** @type {any} */ body) => {
    rows.forEach((row, i) => {
      describe(`${name} #${i}`, () => body(...(Array.isArray(row) ? row : [row])));
    });
  };

/** @type {any} */
export const vi = {};
