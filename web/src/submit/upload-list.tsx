import { useEffect, type ReactElement } from "react";

import { fileSize } from "../shell/format";
import { Icon } from "../shell/icons";
import { ProgressBar } from "../shell/progress-bar";
import { useStore } from "../state/store";
import { dismiss, resubmit, submissions, type Submission } from "./submissions";

/** The recordings that are on their way to the server, and those that it refused. */
export function UploadList(): ReactElement | null {
  const all = useStore(submissions);
  useEffect(() => {
    if (!all.some((one) => one.state !== "refused")) return undefined;
    const ask = (event: BeforeUnloadEvent): void => event.preventDefault(); // leaving would lose them
    window.addEventListener("beforeunload", ask);
    return () => window.removeEventListener("beforeunload", ask);
  }, [all]);
  if (all.length === 0) return null;
  return (
    <section aria-labelledby="uploads-heading">
      <h2 id="uploads-heading" className="heading mb-2">
        Uploads
      </h2>
      <ul className="card divide-y divide-line">
        {all.map((submission) => (
          <UploadRow key={submission.id} submission={submission} />
        ))}
      </ul>
    </section>
  );
}

function UploadRow({ submission }: { submission: Submission }): ReactElement {
  const { id, name, bytes, sentBytes, state, problem } = submission;
  return (
    <li className="flex items-start gap-3 px-4 py-3">
      <div className="min-w-0 flex-1">
        <div className="flex justify-between gap-3">
          <span className="truncate font-medium">{name}</span>
          <span className="text-sm whitespace-nowrap text-muted">{stateText(submission)}</span>
        </div>
        {problem === null ? (
          <ProgressBar label={`Upload of ${name}`} fraction={bytes === 0 ? 0 : sentBytes / bytes} />
        ) : (
          <p role="alert" className="mt-1 text-sm">
            <strong className="font-semibold text-danger">{problem.title}.</strong> {problem.detail}
          </p>
        )}
      </div>
      {state === "refused" && (
        <button type="button" className="button" onClick={() => resubmit(id)}>
          <Icon name="retry" className="size-4" /> Again
        </button>
      )}
      <button
        type="button"
        className="button button-quiet px-2"
        aria-label={state === "refused" ? `Dismiss ${name}` : `Stop the upload of ${name}`}
        onClick={() => dismiss(id)}
      >
        <Icon name="cancel" className="size-4" />
      </button>
    </li>
  );
}

function stateText({ state, bytes, sentBytes }: Submission): string {
  if (state === "waiting") return "waiting";
  if (state === "checking") return "being checked";
  if (state === "refused") return "not accepted";
  return `${fileSize(sentBytes)} of ${fileSize(bytes)}`;
}
