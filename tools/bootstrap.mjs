/**
 * The door for a fresh machine: `npm start`, `npm test`, `npm run bench` and `npm run test:fuzz`
 * come here, with nothing but Node installed. Checks the Node version, installs the packages of the
 * lock file, compiles what is out of date, then runs the job.
 *
 * Order: nothing outside Node's own modules is imported before the packages are installed, and
 * nothing that an old Node cannot parse before the version is checked.
 *
 * Usage: node tools/bootstrap.mjs start|test|fuzz|bench [arguments passed on]
 */
import { checkNodeVersion } from '../bin/nodeVersion.mjs';

checkNodeVersion();

const jobs = {
  start: async () => (await import('./jobs.mjs')).start,
  test: async () => (await import('./jobs.mjs')).test,
  fuzz: async () => (await import('./jobs.mjs')).fuzz,
  bench: async () => (await import('./jobs.mjs')).bench,
};

const [name, ...args] = process.argv.slice(2);
const load = Object.hasOwn(jobs, name) ? jobs[name] : undefined;
if (load === undefined) {
  console.error(`usage: node tools/bootstrap.mjs ${Object.keys(jobs).join('|')} [arguments]`);
  process.exit(2);
}
const job = await load();
process.exitCode = await job(args);
