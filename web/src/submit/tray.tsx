import type { ReactElement } from "react";

import { clock, duration, estimate, fileSize } from "../shell/format";
import { Icon } from "../shell/icons";
import { batchPath, goOn, jobPath } from "../shell/route";
import { useStore } from "../state/store";
import type { PresetOffer } from "./catalogue";
import { settings, wantedOf } from "./settings";
import { identityOf, isEarlier } from "./recording";
import { staged, unstage, type Staged } from "./staged";
import { submitBatch, submitJobs } from "./submissions";

interface Props {
  recordings: readonly Staged[];
  preset: PresetOffer | undefined;
  duration_s: number | null;
}

/** The recordings that have been chosen, and the button that sends them. */
export function Tray({ recordings, preset, duration_s }: Props): ReactElement {
  const chosen = useStore(settings);
  const isMany = recordings.length > 1;
  const send = (): void => {
    const all = recordings.map((one) => one.recording);
    staged.set([]);
    if (isMany && chosen.isBatch) submitBatch(all, wantedOf(chosen), (batch) => goOn(batchPath(batch.id)));
    else submitJobs(all, wantedOf(chosen), (job) => (isMany ? undefined : goOn(jobPath(job.id))));
  };
  const eta_s = duration_s === null || preset === undefined ? null : duration_s * preset.rtf;
  return (
    <section aria-labelledby="tray-heading" className="card">
      <h2 id="tray-heading" className="sr-only">
        Chosen recordings
      </h2>
      <ul className="max-h-72 divide-y divide-line overflow-y-auto" tabIndex={recordings.length > 5 ? 0 : -1}>
        {recordings.map(({ recording, duration_s: length_s }) => (
          <li key={identityOf(recording)} className="flex items-center gap-3 py-1.5 pr-2 pl-4">
            <span className="min-w-0 flex-1 truncate">{recording.name}</span>
            <span className="text-sm whitespace-nowrap text-muted">
              {length_s !== null && `${clock(length_s)} · `}
              {isEarlier(recording) ? "sent before" : fileSize(recording.size)}
            </span>
            <button
              type="button"
              className="button button-quiet px-2"
              aria-label={`Leave out ${recording.name}`}
              onClick={() => unstage(recording)}
            >
              <Icon name="cancel" className="size-4" />
            </button>
          </li>
        ))}
      </ul>
      <div className="flex flex-wrap items-center gap-x-5 gap-y-3 border-t border-line p-4">
        <button type="button" className="button button-primary px-6 text-base" onClick={send} disabled={preset?.is_installed !== true}>
          {isMany ? `Start with ${recordings.length} recordings` : "Start"}
        </button>
        {isMany && (
          <label className="flex min-h-10 items-center gap-2 text-sm">
            <input
              type="checkbox"
              className="size-4"
              checked={chosen.isBatch}
              onChange={(event) => settings.set({ ...chosen, isBatch: event.target.checked })}
            />
            As one batch
          </label>
        )}
        <p className="text-sm text-muted">
          {preset?.title}
          {duration_s !== null && ` · ${duration(duration_s)} of audio`}
          {eta_s !== null && ` · takes ${estimate(eta_s)}`}
        </p>
      </div>
    </section>
  );
}
