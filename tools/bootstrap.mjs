/**
 * The door for a fresh machine: `npm start`, `npm test`, `npm run bench` and `npm run test:fuzz`
 * come here, with nothing but Node installed. Checks the Node version, installs the packages of the
 * lock file, compiles what is out of date, then runs the job.
 *
 * Order: nothing outside Node's own modules is imported before the packages are installed, and
 * nothing that an old Node cannot parse before the version is checked.
 *
 * Usage: node tools/bootstrap.mjs JOB [arguments passed on]; the jobs are in jobs.mjs
 */
import { checkNodeVersion } from '../bin/nodeVersion.mjs';

checkNodeVersion();

const { JOBS } = await import('./jobs.mjs');
const [name, ...args] = process.argv.slice(2);
const job = JOBS.get(name);
if (job === undefined) {
  const names = [...JOBS.keys()].join('|');
  process.stderr.write(`usage: node tools/bootstrap.mjs ${names} [arguments]\n`);
  process.exit(2);
}
process.exitCode = job(args);
