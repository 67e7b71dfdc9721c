import { API, request, requestJson } from "../api/client";
import type { Job } from "../api/types";
import { dropJob, takeJob } from "./feed";

/** The job as it is now. */
export async function fetchJob(id: string, signal?: AbortSignal): Promise<Job> {
  const job = await requestJson<Job>(`${API}/jobs/${id}`, { signal });
  takeJob(job);
  return job;
}

export async function cancelJob(job: Job): Promise<void> {
  takeJob(await requestJson<Job>(`${API}/jobs/${job.id}/cancel`, { method: "POST" }));
}

/** Removes the job and its files; a queued one is cancelled by it. */
export async function deleteJob(job: Job): Promise<void> {
  await request(`${API}/jobs/${job.id}`, { method: "DELETE" });
  dropJob(job.id);
}

/** The recording that the job was made of, to send it again. */
export async function fetchRecording(job: Job): Promise<File> {
  const response = await request(`${API}/jobs/${job.id}/input?redirect=false`);
  return new File([await response.blob()], job.input.name, { type: job.input.media_type });
}
