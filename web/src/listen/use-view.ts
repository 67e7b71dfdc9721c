import { useEffect, useState } from "react";

import { request } from "../api/client";
import type { Output } from "../api/types";
import { loadPeaks, type Peaks } from "../audio/peaks";
import type { Subject } from "./subjects";

/** The outlines of subjects by their ids, as they come in. */
export function usePeaks(subjects: readonly Subject[]): ReadonlyMap<string, Peaks> {
  const [peaks, setPeaks] = useState<ReadonlyMap<string, Peaks>>(new Map());
  useEffect(() => {
    const controller = new AbortController();
    for (const { id, peaks: file } of subjects) {
      if (file === undefined) continue;
      loadPeaks(file.href, controller.signal).then(
        (loaded) => setPeaks((now) => new Map(now).set(id, loaded)),
        () => undefined, // the desk works without
      );
    }
    return () => controller.abort();
  }, [subjects]);
  return peaks;
}

/** A picture as a URL of this page's own, because an `img` sends no API key. */
export function usePicture(file: Output | undefined): string | null {
  const href = file?.href;
  const [url, setUrl] = useState<string | null>(null);
  useEffect(() => {
    if (href === undefined) return undefined;
    const controller = new AbortController();
    let made: string | null = null;
    loadBlob(href, controller.signal).then(
      (blob) => {
        made = URL.createObjectURL(blob);
        setUrl(made);
      },
      () => setUrl(null), // the desk works without
    );
    return () => {
      controller.abort();
      if (made !== null) URL.revokeObjectURL(made);
    };
  }, [href]);
  return url;
}

async function loadBlob(href: string, signal: AbortSignal): Promise<Blob> {
  const response = await request(`${href}?redirect=false`, { signal });
  return response.blob();
}
