import { useEffect, useState, type ReactElement } from "react";

import { API, ConnectionLost, describeProblem, requestJson } from "../api/client";
import type { Batch, BatchItem, Problem } from "../api/types";
import { DownloadLink } from "../listen/download-link";
import { Icon } from "../shell/icons";
import { ProblemNotice } from "../shell/notice";
import { ProgressBar } from "../shell/progress-bar";
import { jobPath, START_PATH } from "../shell/route";
import { retryDelayMs, waitToRetry } from "../state/wait";
import { refresh } from "./feed";
import { StatusBadge } from "./status";

const POLL_MS = 2000;

/** Many recordings as one. */
export function BatchPage({ id }: { id: string }): ReactElement {
  const [batch, setBatch] = useState<Batch | null>(null);
  const [problem, setProblem] = useState<Problem | null>(null);
  useEffect(() => {
    const controller = new AbortController();
    followBatch(id, setBatch, controller.signal).catch((error: unknown) => {
      if (!controller.signal.aborted) setProblem(describeProblem(error));
    });
    return () => controller.abort();
  }, [id]);
  const cancel = (href: string): void => {
    requestJson<Batch>(href, { method: "POST" }).then(
      (after) => {
        setBatch(after);
        refresh();
      },
      (error: unknown) => setProblem(describeProblem(error)),
    );
  };
  return (
    <div className="flex flex-col gap-5">
      <a href={START_PATH} className="button button-quiet self-start px-2 lg:hidden">
        <Icon name="back" /> All recordings
      </a>
      {problem !== null && <ProblemNotice problem={problem} />}
      {batch === null && problem === null && <p role="status">Loading …</p>}
      {batch !== null && <BatchView batch={batch} onCancel={cancel} />}
    </div>
  );
}

function BatchView({ batch, onCancel }: { batch: Batch; onCancel: (href: string) => void }): ReactElement {
  const { progress, links } = batch;
  const cancelHref = links.cancel ?? null;
  const archiveHref = links.archive ?? null;
  return (
    <>
      <header className="flex flex-wrap items-center gap-x-6 gap-y-3">
        <div className="flex-1 basis-64">
          <h1 className="text-xl font-semibold">Batch of {progress.total} recordings</h1>
          <p role="status" className="mt-1 text-sm text-muted">
            {summaryOf(batch)}
          </p>
        </div>
        {cancelHref !== null && (
          <button type="button" className="button" onClick={() => onCancel(cancelHref)}>
            <Icon name="cancel" className="size-4" /> Cancel all
          </button>
        )}
        {archiveHref !== null && batch.counts.succeeded !== 0 && (
          <DownloadLink href={archiveHref} name={`batch-${batch.id}.zip`} isPrimary>
            Everything as ZIP
          </DownloadLink>
        )}
      </header>
      <ProgressBar label="Progress of the batch" fraction={progress.fraction} />
      <ol className="card divide-y divide-line overflow-hidden">
        {batch.items.map((item) => (
          <BatchRow key={item.position} item={item} />
        ))}
      </ol>
    </>
  );
}

function BatchRow({ item }: { item: BatchItem }): ReactElement {
  const name = item.is_deleted ? "Deleted" : item.name;
  return (
    <li className="px-4 py-3">
      <div className="flex items-center justify-between gap-4">
        {item.job_id === null || item.is_deleted ? (
          <span className="min-w-0 truncate">{name}</span>
        ) : (
          <a href={jobPath(item.job_id)} className="min-w-0 truncate font-medium underline-offset-4 hover:underline">
            {name}
          </a>
        )}
        <StatusBadge status={item.status} />
      </div>
      {item.status === "running" && <ProgressBar label={`Progress of ${name}`} fraction={item.fraction} />}
      {item.error !== null && (
        <p className="mt-1 text-sm text-muted">
          {item.error.title}. {item.error.detail}
        </p>
      )}
    </li>
  );
}

function summaryOf({ progress, counts }: Batch): string {
  const parts = [`${progress.ended} of ${progress.total} ended`];
  if (counts.failed) parts.push(`${counts.failed} failed`);
  if (counts.cancelled) parts.push(`${counts.cancelled} cancelled`);
  return parts.join(" · ");
}

async function followBatch(id: string, onBatch: (batch: Batch) => void, signal: AbortSignal): Promise<void> {
  for (let failures = 0; ;) {
    try {
      const batch = await requestJson<Batch>(`${API}/batches/${id}`, { signal });
      onBatch(batch);
      failures = 0;
      if (batch.status !== "running") return;
    } catch (error) {
      if (!(error instanceof ConnectionLost)) throw error;
      failures += 1;
    }
    await waitToRetry(failures === 0 ? POLL_MS : retryDelayMs(failures), signal);
  }
}
