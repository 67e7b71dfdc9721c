import { lazy, Suspense, type ReactElement } from "react";

import { hasEnded, hasFiles, type Job } from "../api/types";
import { channelCount, clock, fileSize, sampleRate } from "../shell/format";
import { Icon } from "../shell/icons";
import { ProblemNotice } from "../shell/notice";
import { START_PATH } from "../shell/route";
import { useTitle } from "../shell/use-title";
import { JobActions } from "./job-actions";
import { RunningView } from "./running-view";
import { StatusBadge } from "./status";
import { useJob } from "./use-job";

const ListeningDesk = lazy(() => import("../listen/desk").then((module) => ({ default: module.Desk })));
const Report = lazy(() => import("../report/report").then((module) => ({ default: module.Report })));

/** One job: its course while it runs, its result once it is there. */
export function JobPage({ id }: { id: string }): ReactElement {
  const { job, problem } = useJob(id);
  return (
    <div className="flex flex-col gap-5">
      <a href={START_PATH} className="button button-quiet self-start px-2 lg:hidden">
        <Icon name="back" /> All recordings
      </a>
      {problem !== null && <ProblemNotice problem={problem} />}
      {job === null && problem === null && <p role="status">Loading …</p>}
      {job !== null && <JobView job={job} />}
    </div>
  );
}

function JobView({ job }: { job: Job }): ReactElement {
  useTitle(titleOf(job));
  return (
    <>
      <header className="flex flex-wrap items-start gap-x-6 gap-y-3">
        <div className="min-w-0 flex-1 basis-72">
          <h1 className="text-xl font-semibold break-words">{job.input.name}</h1>
          <p className="mt-1 flex flex-wrap items-center gap-x-3 text-sm text-muted">
            <StatusBadge status={job.status} />
            <span>{factsOf(job)}</span>
          </p>
        </div>
        <JobActions job={job} />
      </header>
      {!hasEnded(job) && <RunningView job={job} />}
      {job.error !== null && <ProblemNotice problem={job.error} />}
      {job.status === "cancelled" && <p className="card p-4">This job was cancelled before it had a result.</p>}
      {job.warnings.length > 0 && <Warnings warnings={job.warnings} />}
      {job.status === "succeeded" && (
        <Suspense fallback={<p role="status">Loading …</p>}>
          {hasFiles(job) ? (
            <ListeningDesk job={job} />
          ) : (
            <p className="card p-4">The files of this job are no longer kept. What was measured stays.</p>
          )}
          <Report job={job} />
        </Suspense>
      )}
    </>
  );
}

function Warnings({ warnings }: { warnings: readonly string[] }): ReactElement {
  return (
    <section aria-label="Warnings" className="card border-warn/50 p-4 text-sm">
      <ul className="flex flex-col gap-1.5">
        {warnings.map((warning) => (
          <li key={warning} className="flex gap-2">
            <Icon name="warning" className="size-5 text-warn" />
            {warning}
          </li>
        ))}
      </ul>
    </section>
  );
}

function titleOf({ input, status, progress }: Job): string {
  return status === "running" ? `${Math.floor(100 * progress.fraction)} % · ${input.name}` : input.name;
}

function factsOf({ input, preset }: Job): string {
  const facts = [`Preset ${preset}`];
  if (input.duration_s !== null) facts.push(clock(input.duration_s));
  if (input.sample_rate !== null) facts.push(sampleRate(input.sample_rate));
  if (input.channels !== null) facts.push(channelCount(input.channels));
  if (input.bytes > 0) facts.push(fileSize(input.bytes));
  return facts.join(" · ");
}
