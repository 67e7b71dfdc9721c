import type { components, paths } from "./schema";

type Schemas = components["schemas"];

export type Job = Schemas["JobView"];
export type JobStatus = Job["status"];
export type Output = Schemas["OutputView"];
export type JobPage = Schemas["JobListView"];
export type Preset = Schemas["PresetView"];
export type Model = Schemas["ModelView"];
export type Upload = Schemas["UploadView"];
export type UploadPart = Schemas["PartView"];
export type Batch = Schemas["BatchView"];
export type BatchItem = Schemas["BatchItemView"];
export type Problem = Pick<Schemas["JobProblemView"], "code" | "title" | "detail">;
export type JobSubmission = paths["/api/v1/jobs"]["post"]["requestBody"]["content"]["application/json"];
export type BatchSubmission = paths["/api/v1/batches"]["post"]["requestBody"]["content"]["application/json"];

const ENDED: ReadonlySet<JobStatus> = new Set<JobStatus>(["succeeded", "failed", "cancelled"]);

/** True when the job will never change state again. */
export function hasEnded(job: Pick<Job, "status">): boolean {
  return ENDED.has(job.status);
}

/** True as long as the server keeps the job's recording and results. */
export function hasFiles({ expires_at }: Pick<Job, "expires_at">): boolean {
  return expires_at === null || new Date(expires_at) > new Date();
}
