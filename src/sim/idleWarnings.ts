/**
 * Policies that moved nothing in a run: what they lacked, and which knobs let them act in a shorter
 * one. The kernel's waits are made for programs that run for minutes: NUMA balancing first scans
 * after a second (TI-20, HS-90), quotas of DAMON grow from one byte (HS-80, HS-81).
 *
 * Where slow memory was not accessed nothing is said: there was nothing to promote.
 */
import { findPolicy } from '../policy/index.ts';
import type { Simulation } from './simulation.ts';

/** At most one: the first of the mechanisms that the policy needs and that did not come to act. */
export function idleWarnings(sim: Simulation, toptierHitRatio: number): string[] {
  if (toptierHitRatio === 1) return [];
  const reason = numaReason(sim) ?? damonReason(sim) ?? policyReason(sim);
  if (reason === null) return [];
  const sooner = findPolicy(sim.driver.policy.name)?.sooner ?? [];
  if (sooner.length === 0) return [reason];
  return [`${reason}; what brings it sooner: smaller ${sooner.join(', ')}`];
}

/** NUMA balancing that is on and promoted nothing by itself. */
function numaReason({ k, clock, driver, moves, hintFaults }: Simulation): string | null {
  if (k.sysctl.numa_balancing === 0) return null;
  const isLookingOn = driver.policy.planCapacity === 0;
  const nothing = isLookingOn ? 'nothing is seen' : 'nothing moves';
  const what = k.sysctl.demotion_enabled ? 'demotion alone works' : nothing;
  const delayMs = k.sysctl.numa_balancing_scan_delay_ms;
  if (Math.round(clock.nowNs / 1_000_000) < delayMs) {
    return `no NUMA balancing in a run shorter than its scan_delay (${delayMs} ms): ${what}`;
  }
  const isPolicys = driver.policy.periodNs > 0;
  if (isPolicys || moves.promotedPages + moves.movedPages > 0) return null;
  return `NUMA balancing promoted nothing, after ${hintFaults} hint faults: ${what}`;
}

/** DAMON that promoted nothing. */
function damonReason({ k, driver, clock, moves }: Simulation): string | null {
  const { damon } = driver.policy.settings;
  if (damon === null || moves.promotedPages > 0) return null;
  const what = moves.demotedPages > 0 ? 'promoted nothing' : 'migrated nothing';
  const none = `DAMON ${what} in a run of ${msText(clock.nowNs)}`;
  const turnUs = damon.applyIntervalUs === 0 ? damon.aggrUs : damon.applyIntervalUs;
  if (turnUs * 1000 > clock.nowNs) {
    return `${none}: its schemes are first due after ${msText(turnUs * 1000)}`;
  }
  if (!damon.isTuned) return `${none}: no region was hot enough for its scheme, or found room`;
  const schemes = k.damon.contexts.flatMap((context) => context.schemes);
  const bytes = Math.max(
    0,
    ...schemes.filter(({ action }) => action === 'migrate_hot').map(({ quota }) => quota.esz),
  );
  const reset = msText(damon.resetMs * 1_000_000);
  const grew = `the quota grows from one byte, twofold each ${reset} at most, and came to ${bytes}`;
  return `${none}: ${grew} (tuned=false begins with all of it)`;
}

/** A policy that decides by itself and planned nothing but demotions. */
function policyReason({ driver, clock }: Simulation): string | null {
  const { policy, decisions, plannedRows } = driver;
  if (policy.periodNs === 0 || policy.planCapacity === 0) return null;
  if (decisions === 0) {
    const due = msText(policy.periodNs);
    return `no decision in a run of ${msText(clock.nowNs)}: the first is due after ${due}`;
  }
  const reason = policy.idleReason ?? null;
  if (reason !== null) return reason;
  return plannedRows > 0 ? null : `nothing to promote was found in ${decisions} decisions`;
}

function msText(ns: number): string {
  const ms = ns / 1_000_000;
  return `${ms < 10 ? ms.toPrecision(2) : Math.round(ms)} ms`;
}
