import type { ReactElement } from "react";

import type { Job } from "../api/types";
import { FigureTable } from "./figure-table";
import { doneOf } from "./what-was-done";

/** What was measured before and after, and what was done. */
export function Report({ job }: { job: Job }): ReactElement {
  return (
    <div className="grid items-start gap-5 xl:grid-cols-2">
      <FigureTable report={job.report ?? {}} />
      <section aria-labelledby="done-heading" className="card p-4">
        <h2 id="done-heading" className="heading mb-3">
          What was done
        </h2>
        <dl className="grid grid-cols-[auto_1fr] gap-x-5 gap-y-2 text-sm">
          {doneOf(job).map(([name, value]) => (
            <div key={name} className="contents">
              <dt className="text-muted">{name}</dt>
              <dd className="min-w-0 break-words">{value}</dd>
            </div>
          ))}
        </dl>
      </section>
    </div>
  );
}
