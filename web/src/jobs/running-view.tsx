import type { ReactElement } from "react";

import type { Job } from "../api/types";
import { clock } from "../shell/format";
import { ProgressBar } from "../shell/progress-bar";
import { progressText } from "./status";

const BARS = 48;

/** What is going on, with a figure to look at. */
export function RunningView({ job }: { job: Job }): ReactElement {
  const { fraction, processed_s, duration_s } = job.progress;
  const percent = Math.floor(100 * fraction);
  return (
    <section aria-label="Progress" className="card p-6">
      <div aria-hidden="true" className="flex h-24 items-center gap-[3px]">
        {Array.from({ length: BARS }, (_, bar) => (
          <span
            key={bar}
            className={`flex-1 rounded-full ${bar / BARS < fraction ? "bg-accent" : "bg-line"}`}
            style={{
              height: `${heightOf(bar)}%`,
              animation: job.status === "running" ? `breathe ${1.4 + (bar % 5) / 5}s ease-in-out ${-bar / 7}s infinite` : "none",
            }}
          />
        ))}
      </div>
      <div className="mt-5 flex flex-wrap items-baseline justify-between gap-2">
        <p role="status" className="font-medium">
          {progressText(job)}
        </p>
        <p className="text-2xl font-semibold">{percent} %</p>
      </div>
      <ProgressBar label="Progress" fraction={fraction} />
      <p className="mt-2 text-sm text-muted">
        {duration_s !== null && `${clock(processed_s)} of ${clock(duration_s)} done`}
        {job.attempt > 1 && ` · attempt ${job.attempt}`}
      </p>
    </section>
  );
}

/** Percent; a fixed pattern that looks like speech. */
function heightOf(bar: number): number {
  return 18 + 78 * Math.abs(Math.sin(bar * 0.7) * Math.cos(bar * 0.23 + 0.4));
}
