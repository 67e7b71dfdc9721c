import { ApiProblem, API } from "../api/client";
import type { Job } from "../api/types";
import { remoteBytes } from "../audio/bytes";
import { MAX_DECODED_S, openDecoded } from "../audio/decoded";
import { UnplayableSound, type Track } from "../audio/track";
import { openWav } from "../audio/wav";
import type { Voice } from "../audio/player";
import { BEFORE, type Subject } from "./subjects";

/** Opens every subject that this browser can play; the others are left out. */
export async function openVoices(job: Job, subjects: readonly Subject[], signal: AbortSignal): Promise<Voice[]> {
  const opened = await Promise.all(subjects.map((subject) => openSubject(job, subject, signal)));
  return opened.flatMap((track, index) => {
    const subject = subjects[index];
    return track === null || subject === undefined ? [] : [{ id: subject.id, track, gain_db: 0 }];
  });
}

async function openSubject(job: Job, subject: Subject, signal: AbortSignal): Promise<Track | null> {
  for (const href of sourcesOf(job, subject)) {
    const track = await openAny(job, href, signal);
    if (track !== null) return track;
  }
  return null;
}

/** Where the subject's sound is, what plays best first. */
function sourcesOf(job: Job, subject: Subject): string[] {
  const files = [...subject.files].sort((a, b) => Number(isWav(b.media_type)) - Number(isWav(a.media_type)));
  const own = subject.id === BEFORE ? [`${API}/jobs/${job.id}/input`] : files.map((file) => file.href);
  return subject.listening ? [subject.listening.href, ...own] : own;
}

async function openAny(job: Job, href: string, signal: AbortSignal): Promise<Track | null> {
  const { duration_s, sample_rate } = job.input;
  try {
    return await openWav(remoteBytes(href), signal);
  } catch (error) {
    if (!(error instanceof UnplayableSound)) return orNull(error);
  }
  if (duration_s === null || duration_s > MAX_DECODED_S || sample_rate === null) return null;
  try {
    return await openDecoded(href, sample_rate, signal);
  } catch (error) {
    return orNull(error);
  }
}

/** A sound that is not there, or not for this browser, is left out; what else goes wrong is told. */
function orNull(error: unknown): null {
  const isMissing = error instanceof ApiProblem && [404, 409, 410].includes(error.status);
  if (isMissing || error instanceof UnplayableSound) return null;
  throw error;
}

function isWav(mediaType: string): boolean {
  return mediaType === "audio/wav";
}
