import type { Job } from "../api/types";

/** The recording of an earlier job: the server has it. */
export interface EarlierRecording {
  readonly jobId: string;
  readonly name: string;
  readonly size: number; // bytes
  readonly duration_s: number | null;
}

/** What is to be worked on: a file of this device, or what was sent before. */
export type Recording = File | EarlierRecording;

export function isEarlier(recording: Recording): recording is EarlierRecording {
  return "jobId" in recording;
}

export function earlierRecording({ id, input }: Job): EarlierRecording {
  return { jobId: id, name: input.name, size: input.bytes, duration_s: input.duration_s };
}

/** The same for the same recording, however often it is chosen. */
export function identityOf(recording: Recording): string {
  if (isEarlier(recording)) return recording.jobId;
  return `${recording.webkitRelativePath}/${recording.name}:${recording.size}:${recording.lastModified}`;
}
