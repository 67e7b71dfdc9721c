import type { Job, Output } from "../api/types";

export const BEFORE = "before";
export const RESIDUAL = "residual";

const REPORT_ROLES: ReadonlySet<string> = new Set(["waveform", "spectrogram", "peaks", "listening"]);

/** A signal that can be seen and heard: the recording, what was made of it, what was taken away. */
export interface Subject {
  id: string; // "before" or an output's role
  label: string;
  files: readonly Output[]; // the encodings that can be downloaded; none of the recording
  peaks: Output | undefined;
  spectrogram: Output | undefined;
  listening: Output | undefined; // a WAV to play where none of `files` is one
  loudness_lufs: number | null;
}

/** The audio files of a finished job. */
export function audioFiles(job: Job): Output[] {
  return job.outputs.filter((output) => !REPORT_ROLES.has(output.role));
}

/** What the job can be listened to as: the recording first, then the results, what was taken away last. */
export function subjectsOf(job: Job): Subject[] {
  const files = audioFiles(job);
  const roles = [...new Set(files.map((file) => file.role))];
  const results = roles.filter((role) => role !== RESIDUAL);
  const ordered = [BEFORE, ...results, ...(roles.includes(RESIDUAL) ? [RESIDUAL] : [])];
  return ordered.map((id) => ({
    id,
    label: labelOf(id, results.length),
    files: files.filter((file) => file.role === id),
    peaks: viewOf(job, id, "peaks"),
    spectrogram: viewOf(job, id, "spectrogram"),
    listening: viewOf(job, id, "listening"),
    loudness_lufs: loudnessOf(job, id),
  }));
}

/** `talk.enhanced.peaks.json` is the view "peaks" of "enhanced". */
function viewOf(job: Job, subject: string, view: string): Output | undefined {
  return job.outputs.find((output) => output.role === view && output.name.split(".").at(-3) === subject);
}

/** What a signal is called; a single result is simply what comes after. */
export function labelOf(id: string, results: number): string {
  if (id === BEFORE) return "Before";
  if (id === RESIDUAL) return "Removed";
  return results === 1 ? "After" : id.charAt(0).toUpperCase() + id.slice(1);
}

function loudnessOf(job: Job, id: string): number | null {
  const report = job.report as { input?: Figures; outputs?: Record<string, Figures> } | null;
  return (id === BEFORE ? report?.input : report?.outputs?.[id])?.loudness_lufs ?? null;
}

interface Figures {
  loudness_lufs?: number | null;
}

/**
 * What each subject is turned by, in dB, so that none sounds better for being louder. The louder ones are turned down,
 * so nothing clips. What was taken away keeps its proportion to the recording.
 */
export function matchingGains(subjects: readonly Subject[]): Map<string, number> {
  const compared = subjects.filter((subject) => subject.id !== RESIDUAL);
  const levels = compared.flatMap((subject) => subject.loudness_lufs ?? []);
  const target = Math.min(...levels);
  const gains = new Map(compared.map((one) => [one.id, one.loudness_lufs === null ? 0 : target - one.loudness_lufs]));
  gains.set(RESIDUAL, gains.get(BEFORE) ?? 0);
  return gains;
}
