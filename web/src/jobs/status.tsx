import type { ReactElement } from "react";

import { hasEnded, type Job, type JobStatus } from "../api/types";
import { duration, estimate } from "../shell/format";

const TEXTS: Record<JobStatus, string> = {
  queued: "Queued",
  running: "Running",
  cancelling: "Stopping",
  succeeded: "Done",
  failed: "Failed",
  cancelled: "Cancelled",
};

const STAGES = { prepare: "Reading the recording", enhance: "Enhancing", finish: "Writing the results" } as const;

const COLOURS: Record<JobStatus, string> = {
  queued: "text-muted",
  running: "text-accent",
  cancelling: "text-warn",
  succeeded: "text-good",
  failed: "text-danger",
  cancelled: "text-muted",
};

export function StatusBadge({ status }: { status: JobStatus }): ReactElement {
  return (
    <span className={`inline-flex items-center gap-1.5 text-sm font-medium whitespace-nowrap ${COLOURS[status]}`}>
      <span aria-hidden="true" className={`size-2 rounded-full bg-current ${status === "running" ? "animate-pulse" : ""}`} />
      {TEXTS[status]}
    </span>
  );
}

/** What the job is doing, and how much longer; empty once it has ended. */
export function progressText(job: Job): string {
  if (hasEnded(job)) return "";
  if (job.status === "queued") {
    const position = job.queue_position;
    const wait = job.progress.eta_s == null ? "" : `, ${estimate(job.progress.eta_s)}`;
    return position === null ? "Waiting for a worker" : position === 0 ? `Next in the queue${wait}` : `${position} ${position === 1 ? "job" : "jobs"} before it${wait}`;
  }
  if (job.status === "cancelling") return "Stops at the next segment";
  const parts: string[] = [job.stage === null ? "Starting" : STAGES[job.stage]];
  // While the recording is read, nothing is known yet of the speed of what comes then.
  if (job.progress.eta_s !== null && job.stage !== "prepare") parts.push(`${duration(job.progress.eta_s)} left`);
  if (job.progress.rtf !== null && job.progress.rtf > 0) parts.push(speedText(job.progress.rtf));
  return parts.join(" · ");
}

/** The real-time factor as people say it: "12× real time". */
export function speedText(rtf: number): string {
  const speed = 1 / rtf;
  return `${speed >= 10 ? Math.round(speed) : speed.toPrecision(2)}× real time`;
}
