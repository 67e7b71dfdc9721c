import { useEffect, useState } from "react";

import { ConnectionLost, describeProblem } from "../api/client";
import type { Job, Problem } from "../api/types";
import { useStore } from "../state/store";
import { retryDelayMs, waitToRetry } from "../state/wait";
import { fetchJob } from "./actions";
import { feed, watchJob } from "./feed";

/** The job `id` as it goes on, or why it cannot be shown; both null while it is being asked for. */
export function useJob(id: string): { job: Job | null; problem: Problem | null } {
  const { jobs } = useStore(feed);
  const [problem, setProblem] = useState<Problem | null>(null);
  useEffect(() => {
    const controller = new AbortController();
    watchJob(id);
    askUntilAnswered(id, controller.signal).catch((error: unknown) => {
      if (!controller.signal.aborted) setProblem(describeProblem(error));
    });
    return () => {
      controller.abort();
      watchJob(null);
    };
  }, [id]);
  return { job: jobs.find((job) => job.id === id) ?? null, problem };
}

async function askUntilAnswered(id: string, signal: AbortSignal): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      await fetchJob(id, signal);
      return;
    } catch (error) {
      if (!(error instanceof ConnectionLost)) throw error;
    }
    await waitToRetry(retryDelayMs(attempt), signal);
  }
}
