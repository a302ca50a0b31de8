/**
 * Loaded latency: how much slower an access becomes while its device or link is busy.
 *
 * Real thing: measured bandwidth-latency curves of memory (Intel MLC, the Mess benchmark): flat at
 * first, latency about doubled at 65-75 % of the theoretical bandwidth, then a wall.
 * How we model it: a piecewise linear curve f(u) of utilisation u. From one quantum to the next the
 * latency is not read off the curve at the last utilisation, because slower accesses would lower
 * the traffic, which would lower the latency ... and oscillate. Instead the bytes in flight are
 * kept (Little: in flight = throughput * latency), and the new operating point is the one at which
 * the curve and those bytes agree: u * f(u) = u_last * factor_last. Where the curve ends, the
 * device is saturated: more in flight then only waits longer, and throughput stays at capacity
 * (back-pressure), minus what the device loses by overload (NodePerf.overloadLoss). A constant load
 * settles on f(u) exactly as read off the curve.
 * Not modelled: fairness between requesters.
 */
import { assert } from '../base/assert.ts';
import type { LoadedLatencyCurve } from './machineSpec.ts';

/**
 * Largest factor, far above what any cores can keep in flight: a guard for offered load that does
 * not slow down when its accesses do.
 */
export const LATENCY_FACTOR_MAX = 10_000;

/**
 * Sustained utilisation at which latency has doubled. The weighted-interleave cover letter puts it
 * at 65-75 % of the theoretical bandwidth; a sustained peak is about 80 % of theoretical (225.6 of
 * 281.6 GB/s on the Cascade Lake of the MLC table): 0.70 / 0.80.
 */
export const KNEE_UTILISATION = 0.875;

/**
 * Factor at the sustained peak: MLC measured 264.0 ns at peak against 91.2 ns idle on Ice Lake
 * (2.89), 2.81 on Granite Rapids, 1.9 on Cascade Lake (gjbex/Code-optimization, info/*_mlc.txt).
 * Higher latencies of contended memory come from what waits in flight beyond the peak.
 */
export const SATURATION_FACTOR = 2.9;

const SAMPLE_POINTS = [0, 0.3, 0.5, 0.6, 0.7, 0.8, KNEE_UTILISATION, 0.92, 0.96, 1];

/**
 * The queueing formula behind the default curve: 1 + a*u/(b - u), the shape of a single-server
 * queue, with a and b such that it passes through the knee (factor 2) and the saturation factor.
 */
export function queueingFactor(utilisation: number): number {
  // f(1) = S gives a = (S-1)(b-1); with it f(k) = 2, that is a*k = b - k, is solved for b.
  const excess = SATURATION_FACTOR - 1;
  const b = (KNEE_UTILISATION * excess - KNEE_UTILISATION) / (KNEE_UTILISATION * excess - 1);
  const a = excess * (b - 1);
  return 1 + (a * utilisation) / (b - utilisation);
}

/** Default curve of every device and link that has none of its own. */
export const DEFAULT_CURVE: LoadedLatencyCurve = {
  utilisation: SAMPLE_POINTS,
  factor: SAMPLE_POINTS.map(queueingFactor),
};

/** A device that never queues: latency stays unloaded until the capacity is reached. */
export const FLAT_CURVE: LoadedLatencyCurve = { utilisation: [0, 1], factor: [1, 1] };

/**
 * Reads the curve: factor at `utilisation`. Beyond its end: the last factor (throughput cannot go
 * there; see steadyFactor for what queueing adds).
 */
export function curveFactor(curve: LoadedLatencyCurve, utilisation: number): number {
  const { utilisation: u, factor: f } = curve;
  const last = u.length - 1;
  if (utilisation >= u[last]!) return f[last]!;
  let i = 1;
  while (u[i]! <= utilisation) i++;
  const share = (utilisation - u[i - 1]!) / (u[i]! - u[i - 1]!);
  return f[i - 1]! + share * (f[i]! - f[i - 1]!);
}

/**
 * The latency factor of the next quantum from `inFlight` = utilisation of the last quantum * the
 * factor that was in force then (bytes in flight, in units of unloaded latency * peak).
 * Solves u * f(u) = inFlight on the curve; beyond its end, u stays there and the factor grows. Of
 * `overloadLoss` the share 1 - 1/x is lost with x times as much in flight as saturates.
 */
export function steadyFactor(
  curve: LoadedLatencyCurve,
  inFlight: number,
  overloadLoss: number,
): number {
  const { utilisation: u, factor: f } = curve;
  const last = u.length - 1;
  const saturating = u[last]! * f[last]!;
  if (inFlight >= saturating) {
    const sustained = u[last]! * (1 - overloadLoss * (1 - saturating / inFlight));
    return Math.min(inFlight / sustained, LATENCY_FACTOR_MAX);
  }
  let i = 1;
  while (u[i]! * f[i]! <= inFlight) i++;
  // On the segment f(u) = f0 + slope*(u - u0): slope*u^2 + base*u - inFlight = 0.
  const slope = (f[i]! - f[i - 1]!) / (u[i]! - u[i - 1]!);
  const base = f[i - 1]! - slope * u[i - 1]!;
  if (slope === 0) return base;
  const root = Math.sqrt(base * base + 4 * slope * inFlight);
  // The form without cancellation; base > 0 need not hold on steep segments.
  const at = base >= 0 ? (2 * inFlight) / (base + root) : (root - base) / (2 * slope);
  return base + slope * at;
}

/** Asserts what LoadedLatencyCurve promises: equal columns, utilisation rising from 0 to <= 1. */
export function assertCurve(curve: LoadedLatencyCurve): void {
  const { utilisation: u, factor: f } = curve;
  assert(u.length >= 2 && u.length === f.length, 'curve: two or more points of both columns');
  assert(
    u[0] === 0 && u[u.length - 1]! <= 1,
    'curve: utilisation starts at 0 and ends at most at 1',
  );
  for (let i = 1; i < u.length; i++) {
    assert(u[i]! > u[i - 1]! && f[i]! >= f[i - 1]!, 'curve: utilisation and factor rise');
  }
  assert(f[0] === 1, 'curve: the factor of an idle device is 1');
}
