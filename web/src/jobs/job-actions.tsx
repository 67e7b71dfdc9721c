import { useState, type ReactElement } from "react";

import { describeProblem } from "../api/client";
import { hasEnded, hasFiles, type Job, type Problem } from "../api/types";
import { Icon } from "../shell/icons";
import { ProblemNotice } from "../shell/notice";
import { go, jobPath, START_PATH } from "../shell/route";
import { earlierRecording } from "../submit/recording";
import { stage } from "../submit/staged";
import { cancelJob, deleteJob, retryJob } from "./actions";

/** Cancel, retry as it was or run again in another way, delete. */
export function JobActions({ job }: { job: Job }): ReactElement {
  const [isBusy, setIsBusy] = useState(false);
  const [isAsking, setIsAsking] = useState(false);
  const [problem, setProblem] = useState<Problem | null>(null);
  const run = (action: () => Promise<void>): void => {
    setIsBusy(true);
    setProblem(null);
    action()
      .catch((error: unknown) => setProblem(describeProblem(error)))
      .finally(() => setIsBusy(false));
  };
  const again = (): void => {
    stage([earlierRecording(job)]);
    go(START_PATH);
  };
  const retry = async (): Promise<void> => {
    go(jobPath((await retryJob(job)).id));
  };
  const remove = async (): Promise<void> => {
    await deleteJob(job);
    go(START_PATH);
  };
  return (
    <div className="flex flex-col gap-3">
      <div className="flex flex-wrap gap-2">
        {!hasEnded(job) && (
          <button
            type="button"
            className="button"
            disabled={isBusy || job.status === "cancelling"}
            onClick={() => run(() => cancelJob(job))}
          >
            <Icon name="cancel" className="size-4" /> Cancel
          </button>
        )}
        {hasFiles(job) && hasEnded(job) && job.status !== "succeeded" && (
          <button type="button" className="button button-primary" disabled={isBusy} onClick={() => run(retry)}>
            <Icon name="retry" className="size-4" /> Retry
          </button>
        )}
        {hasFiles(job) && hasEnded(job) && (
          <button type="button" className="button" disabled={isBusy} onClick={again}>
            <Icon name="sliders" className="size-4" /> {job.status === "succeeded" ? "Run again" : "Change options"}
          </button>
        )}
        {hasEnded(job) && !isAsking && (
          <button type="button" className="button" disabled={isBusy} onClick={() => setIsAsking(true)}>
            <Icon name="delete" className="size-4" /> Delete
          </button>
        )}
        {isAsking && (
          <>
            <button type="button" className="button border-danger text-danger" disabled={isBusy} onClick={() => run(remove)}>
              Delete recording and results
            </button>
            <button type="button" className="button" onClick={() => setIsAsking(false)}>
              Keep
            </button>
          </>
        )}
      </div>
      {problem !== null && <ProblemNotice problem={problem} />}
    </div>
  );
}
