import { requestJson } from "../api/client";

/** The outline of a recording: the least and the largest sample of each stretch, -1..1, in turns. */
export interface Peaks {
  extremes: Float32Array;
  largest: number; // magnitude
}

interface Audiowaveform {
  bits: number;
  data: number[];
}

/** Peaks that the server computed, in audiowaveform's JSON. */
export async function loadPeaks(href: string, signal: AbortSignal): Promise<Peaks> {
  const { bits, data } = await requestJson<Audiowaveform>(`${href}?redirect=false`, { signal });
  const extremes = Float32Array.from(data, (value) => value / 2 ** (bits - 1));
  return { extremes, largest: extremes.reduce((most, value) => Math.max(most, Math.abs(value)), 0) };
}

/** The least and the largest sample of `column` of `columns`; every point that it touches counts. */
export function extremesOf({ extremes }: Peaks, column: number, columns: number): [low: number, high: number] {
  const points = extremes.length / 2;
  const first = Math.floor((column * points) / columns);
  const last = Math.max(Math.ceil(((column + 1) * points) / columns), first + 1);
  let low = 0;
  let high = 0;
  for (let point = first; point < Math.min(last, points); point += 1) {
    low = Math.min(low, extremes[2 * point] ?? 0);
    high = Math.max(high, extremes[2 * point + 1] ?? 0);
  }
  return [low, high];
}
