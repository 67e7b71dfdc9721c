const STEPS_S = [0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400];
const MAX_TICKS = 7; // so many labels have room on a phone
const MIN_ROOM = 0.08; // of the width: a label nearer to the end would be cut off

/** Round times along a recording, in seconds, without its start and end. */
export function ticksOf(duration_s: number): number[] {
  const step_s = STEPS_S.find((step) => duration_s / step <= MAX_TICKS) ?? duration_s;
  const count = Math.floor((duration_s * (1 - MIN_ROOM)) / step_s);
  return Array.from({ length: count }, (_, index) => Number(((index + 1) * step_s).toFixed(1)));
}
