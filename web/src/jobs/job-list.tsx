import { useState, type ReactElement } from "react";

import { describeProblem } from "../api/client";
import { hasEnded, type Job, type Problem } from "../api/types";
import { Icon } from "../shell/icons";
import { ProblemNotice } from "../shell/notice";
import { ProgressBar } from "../shell/progress-bar";
import { batchPath, jobPath, START_PATH, type Route } from "../shell/route";
import { useStore } from "../state/store";
import { feed, loadOlder, refresh } from "./feed";
import { progressText, StatusBadge } from "./status";

/** The caller's jobs, newest first; those of a batch stand under its heading. */
export function JobList({ route }: { route: Route }): ReactElement {
  const { jobs, hasLoaded, nextCursor, problem } = useStore(feed);
  const [failure, setFailure] = useState<Problem | null>(null);
  const openId = route.page === "start" ? null : route.id;
  return (
    <nav aria-label="Recordings" className="flex flex-col gap-3">
      {route.page !== "start" && (
        <a href={START_PATH} className="button button-primary">
          <Icon name="plus" /> New recording
        </a>
      )}
      <h2 className="heading">Recordings</h2>
      {problem !== null && (
        <ProblemNotice problem={problem}>
          <button type="button" className="button" onClick={refresh}>
            Try again
          </button>
        </ProblemNotice>
      )}
      {hasLoaded && jobs.length === 0 && <p className="text-sm text-muted">What you send appears here.</p>}
      {groupsOf(jobs).map((group) =>
        group.batchId === null ? (
          <ul key={group.jobs[0]?.id} className="card divide-y divide-line overflow-hidden">
            {group.jobs.map((job) => (
              <JobRow key={job.id} job={job} isOpen={job.id === openId} />
            ))}
          </ul>
        ) : (
          <section key={group.batchId} aria-label="Batch" className="card overflow-hidden">
            <a
              href={batchPath(group.batchId)}
              aria-current={group.batchId === openId ? "page" : undefined}
              className="flex items-center gap-2 bg-raised px-3.5 py-2 text-sm font-medium hover:text-accent"
            >
              <Icon name="layers" className="size-4" /> Batch
              <span className="ml-auto font-normal text-muted">
                {group.jobs.filter(hasEnded).length} of {group.jobs.length} ended
              </span>
            </a>
            <ul className="divide-y divide-line">
              {group.jobs.map((job) => (
                <JobRow key={job.id} job={job} isOpen={job.id === openId} />
              ))}
            </ul>
          </section>
        ),
      )}
      {failure !== null && <ProblemNotice problem={failure} />}
      {nextCursor !== null && (
        <button
          type="button"
          className="button"
          onClick={() =>
            void loadOlder().then(
              () => setFailure(null),
              (error: unknown) => setFailure(describeProblem(error)),
            )
          }
        >
          Show older
        </button>
      )}
    </nav>
  );
}

/** On a phone the recordings come after everything else: the way to them, once there are any. */
export function ToRecordings({ onGo }: { onGo: () => void }): ReactElement | null {
  const { jobs } = useStore(feed);
  if (jobs.length === 0) return null;
  return (
    <button type="button" className="button mb-4 w-full lg:hidden" onClick={onGo}>
      <Icon name="layers" className="size-4" /> To my recordings
    </button>
  );
}

function JobRow({ job, isOpen }: { job: Job; isOpen: boolean }): ReactElement {
  return (
    <li>
      <a
        href={jobPath(job.id)}
        aria-current={isOpen ? "page" : undefined}
        className={`block border-l-3 px-3.5 py-2.5 hover:bg-raised focus-visible:-outline-offset-2
          ${isOpen ? "border-accent bg-raised" : "border-transparent"}`}
      >
        <span className="flex items-center justify-between gap-3">
          <span className="min-w-0 truncate text-sm font-medium">{job.input.name}</span>
          <StatusBadge status={job.status} />
        </span>
        {!hasEnded(job) && (
          <>
            <span className="mt-0.5 block text-xs text-muted">{progressText(job)}</span>
            {job.status !== "queued" && (
              <ProgressBar label={`Progress of ${job.input.name}`} fraction={job.progress.fraction} />
            )}
          </>
        )}
        {job.status === "failed" && <span className="mt-0.5 block text-xs text-muted">{job.error?.title}</span>}
      </a>
    </li>
  );
}

interface Group {
  batchId: string | null;
  jobs: Job[];
}

/** Neighbours in the list that belong together. */
function groupsOf(jobs: readonly Job[]): Group[] {
  const groups: Group[] = [];
  for (const job of jobs) {
    const last = groups.at(-1);
    if (last && last.batchId === job.batch_id) last.jobs.push(job);
    else groups.push({ batchId: job.batch_id, jobs: [job] });
  }
  return groups;
}
