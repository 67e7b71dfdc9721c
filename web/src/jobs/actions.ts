import { API, request, requestJson } from "../api/client";
import { postOnce } from "../api/post-once";
import type { Job, JobSubmission } from "../api/types";
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

/** What the preset decides, and what a request says elsewhere. */
const NO_OVERRIDES: ReadonlySet<string> = new Set(["preset", "preset_version", "model", "outputs"]);

/** Another job that does the same with the same recording, which the server still has. */
export async function retryJob({ id, preset, lane, metadata, options }: Job): Promise<Job> {
  const overrides = Object.fromEntries(Object.entries(options).filter(([name]) => !NO_OVERRIDES.has(name)));
  const { outputs } = options as Pick<JobSubmission, "outputs">;
  const again = { input: { job_id: id }, preset, overrides, outputs, lane, metadata } as JobSubmission;
  const job = await postOnce<Job>("/jobs", again);
  takeJob(job);
  return job;
}
