import { createStore } from "../state/store";
import { identityOf, isEarlier, type Recording } from "./recording";

/** A recording that has been chosen and not been sent yet. */
export interface Staged {
  recording: Recording;
  duration_s: number | null; // null: the browser cannot tell, the server will
}

export const staged = createStore<readonly Staged[]>([]);

const METADATA_TIMEOUT_MS = 10_000;

export function stage(recordings: readonly Recording[]): void {
  const known = new Set(staged.get().map((one) => identityOf(one.recording)));
  const added = recordings.filter((recording) => !known.has(identityOf(recording)));
  staged.set((now) => [
    ...now,
    ...added.map((recording) => ({ recording, duration_s: isEarlier(recording) ? recording.duration_s : null })),
  ]);
  for (const recording of added) {
    if (isEarlier(recording)) continue;
    void durationOf(recording).then((duration_s) => {
      staged.set((now) => now.map((one) => (one.recording === recording ? { recording, duration_s } : one)));
    });
  }
}

export function unstage(recording: Recording): void {
  staged.set((now) => now.filter((one) => one.recording !== recording));
}

/** Seconds of audio in all; null while that of none is known. */
export function totalDuration(recordings: readonly Staged[]): number | null {
  const known = recordings.flatMap((one) => one.duration_s ?? []);
  return known.length === 0 ? null : known.reduce((sum, one) => sum + one, 0);
}

/** From the file's header alone; nothing is decoded. */
async function durationOf(file: File): Promise<number | null> {
  const url = URL.createObjectURL(file);
  try {
    return await new Promise<number | null>((resolve) => {
      const probe = new Audio();
      probe.preload = "metadata";
      probe.onloadedmetadata = () => resolve(Number.isFinite(probe.duration) ? probe.duration : null);
      probe.onerror = () => resolve(null);
      setTimeout(() => resolve(null), METADATA_TIMEOUT_MS);
      probe.src = url;
    });
  } finally {
    URL.revokeObjectURL(url);
  }
}
