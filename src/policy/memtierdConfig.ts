/**
 * Configuration of memtierd for its policies, as its sample-configs/ have it: written to a file and
 * started by lines for a shell. Its numbers are whole.
 */
import { type KnobValues, numberOf } from './knob.ts';
import type { TierNodes } from './policy.ts';

/** `own` are the lines of the policy itself, between its interval and its tracker. */
export function memtierdLines(
  policy: 'age' | 'heat',
  values: KnobValues,
  own: readonly string[],
): string[] {
  const interval = wholeMs(numberOf(values, 'interval'));
  return [
    "cat > memtierd.yaml <<'EOF'",
    'policy:',
    `  name: ${policy}`,
    '  config: |',
    `    intervalms: ${interval}`,
    '    pidwatcher:',
    '      name: cgroups',
    '      config: |',
    '        cgroups:',
    '          - /sys/fs/cgroup/PROGRAM',
    ...own.map((line) => `    ${line}`),
    '    tracker:',
    '      name: idlepage',
    '      config: |',
    `        pagesinregion: ${numberOf(values, 'regionPages')}`,
    '        maxcountperregion: 0',
    `        scanintervalms: ${interval}`,
    '    mover:',
    '      intervalms: 20',
    `      bandwidth: ${Math.max(1, Math.round(numberOf(values, 'bandwidth')))}`,
    'EOF',
    'memtierd -config memtierd.yaml',
  ];
}

export function ageLines(values: KnobValues, { fast, slow }: TierNodes): string[] {
  const [idle, active] = [numberOf(values, 'idleDuration'), numberOf(values, 'activeDuration')];
  return memtierdLines('age', values, [
    ...(idle > 0 ? [`idledurationms: ${wholeMs(idle)}`, `idlenumas: [${slow.join(', ')}]`] : []),
    ...(active > 0
      ? [`activedurationms: ${wholeMs(active)}`, `activenumas: [${fast.join(', ')}]`]
      : []),
  ]);
}

export function heatLines(values: KnobValues, { fast, slow }: TierNodes): string[] {
  const classes = numberOf(values, 'heatClasses');
  const [hot, cold] = [numberOf(values, 'hotClass'), numberOf(values, 'coldClass')];
  const nodesOf: string[] = [];
  for (let heat = 0; heat < classes; heat++) {
    if (heat >= hot) nodesOf.push(`  ${heat}: [${fast.join(', ')}]`);
    else if (heat <= cold) nodesOf.push(`  ${heat}: [${slow.join(', ')}]`);
  }
  return memtierdLines('heat', values, [
    'heatnumas:',
    ...nodesOf,
    'heatmap:',
    `  heatmax: ${numberOf(values, 'heatMax')}`,
    `  heatretention: ${numberOf(values, 'heatRetention')}`,
    `  heatclasses: ${classes}`,
  ]);
}

function wholeMs(ms: number): number {
  return Math.max(1, Math.round(ms));
}
