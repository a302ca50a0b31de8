/**
 * docs/model/kernels.md is the table of src/hw/kernelProfile.ts.
 * `npx vitest run test/conformance/kernels.test.ts -u` writes it.
 */
import { expect, it } from 'vitest';
import { BEHAVIOURS, type BehaviourName, KERNEL_VERSIONS } from '../../src/hw/index.ts';
import { kernelProfile } from '../../src/hw/kernelProfile.ts';
import { cases, deviations } from './ownCases.ts';

const OLDEST_FIRST = [...KERNEL_VERSIONS].reverse();

function row(name: string): string {
  const { what, rule, evidence } = BEHAVIOURS[name as BehaviourName];
  const marks = OLDEST_FIRST.map((version) =>
    kernelProfile(version)[name as BehaviourName] ? '●' : '',
  );
  return `| \`${name}\` | ${[...marks, what, rule, evidence].join(' | ')} |`;
}

function counts(version: string): string {
  const of = (list: readonly unknown[]): number => list.length;
  const same = cases.filter((one) => one.kernel === version || one.sameOn.includes(version));
  const differs = cases.filter((one) => one.differs[version] !== undefined);
  const here = deviations.filter((one) => one.kernel === version);
  return `| ${version} | ${of(same)} | ${of(differs)} | ${here.map(({ id }) => id).join(', ')} |`;
}

const TEXT = `# Versions of Linux

A machine file names the version that is modelled: \`kernel: "6.12"\`, one of
${KERNEL_VERSIONS.join(', ')}; the first is the default. Where versions differ, one table decides,
\`src/hw/kernelProfile.ts\`, which is this one:

| behaviour | ${OLDEST_FIRST.join(' | ')} | what it does | rule | evidence |
|---|${OLDEST_FIRST.map(() => '---').join('|')}|---|---|---|
${Object.keys(BEHAVIOURS).map(row).join('\n')}

Evidence is a case of \`test/conformance/cases\` that was observed on that version, or the release
whose source changed. What is not in the table is taken to be as on ${KERNEL_VERSIONS[0]}.

## Checked against what was observed

\`hetmem conform --kernel all\` runs every case as each version answered it; a case that was not run
there is skipped as "not observed".

| version | cases with the answers of ${KERNEL_VERSIONS[0]} | cases with others | deviations |
|---|---|---|---|
${KERNEL_VERSIONS.map(counts).join('\n')}

Reasons and remedies of the deviations stand in \`test/conformance/deviations.json\`. Amounts that
reclaim leaves behind were written down for 7.3 alone, where the plain LRU ran; the others ran the
multi-generation LRU. The mark \`unevictable\` and raw words of kpageflags were not compared between
versions, nor \`ksm\` on 6.12, where kpageflags says it of every anonymous page.
`;

it('docs/model/kernels.md is the table of behaviours', async () => {
  await expect(TEXT).toMatchFileSnapshot('../../docs/model/kernels.md');
});
