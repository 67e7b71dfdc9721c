import type { JobSubmission } from "../api/types";
import { createStore } from "../state/store";

export const FORMATS = ["wav", "flac", "mp3", "m4a", "opus", "ogg"] as const;
export type Format = (typeof FORMATS)[number];
export const MAX_FORMATS = 4;

export const FORMAT_NAMES: Record<Format, string> = {
  wav: "WAV",
  flac: "FLAC",
  mp3: "MP3",
  m4a: "AAC (M4A)",
  opus: "Opus",
  ogg: "Ogg Vorbis",
};

/** What the person has chosen for the next recordings. */
export interface Settings {
  preset: string | null; // null: the server's default
  strength: number; // 0..1
  hasResidual: boolean;
  formats: readonly Format[];
  lane: "interactive" | "bulk";
  isBatch: boolean; // several files become one batch
}

export const settings = createStore<Settings>({
  preset: null,
  strength: 1,
  hasResidual: true,
  formats: ["wav"],
  lane: "interactive",
  isBatch: true,
});

export type Wanted = Omit<JobSubmission, "input">;

/** The settings as the options of a job or batch. */
export function wantedOf({ preset, strength, hasResidual, formats, lane }: Settings): Wanted {
  return {
    preset,
    overrides: { strength, residual: hasResidual, listening: true },
    ...(formats.length === 1 && formats[0] === "wav" ? {} : { outputs: formats.map((format) => ({ format })) }),
    lane,
  } as Wanted;
}
