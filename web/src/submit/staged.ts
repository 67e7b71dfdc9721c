import { createStore } from "../state/store";

/** A file that has been chosen and not been sent yet. */
export interface StagedFile {
  file: File;
  duration_s: number | null; // null: the browser cannot tell, the server will
}

export const staged = createStore<readonly StagedFile[]>([]);

const METADATA_TIMEOUT_MS = 10_000;

export function stageFiles(files: readonly File[]): void {
  const known = new Set(staged.get().map((one) => identityOf(one.file)));
  const added = files.filter((file) => !known.has(identityOf(file)));
  staged.set((now) => [...now, ...added.map((file) => ({ file, duration_s: null }))]);
  for (const file of added) {
    void durationOf(file).then((duration_s) => {
      staged.set((now) => now.map((one) => (one.file === file ? { file, duration_s } : one)));
    });
  }
}

export function unstageFile(file: File): void {
  staged.set((now) => now.filter((one) => one.file !== file));
}

/** Seconds of audio in all; null while that of none is known. */
export function totalDuration(files: readonly StagedFile[]): number | null {
  const known = files.flatMap((one) => one.duration_s ?? []);
  return known.length === 0 ? null : known.reduce((sum, one) => sum + one, 0);
}

function identityOf(file: File): string {
  return `${file.webkitRelativePath}/${file.name}:${file.size}:${file.lastModified}`;
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
