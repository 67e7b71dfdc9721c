import type { ReactElement } from "react";

import { duration } from "../shell/format";
import type { PresetOffer } from "./catalogue";
import { settings } from "./settings";

interface Props {
  presets: readonly PresetOffer[];
  current: PresetOffer | undefined;
  duration_s: number | null; // of the chosen recordings
}

/** What can be done with a recording, what each costs, and how long it will take here. */
export function PresetPicker({ presets, current, duration_s }: Props): ReactElement {
  const installed = presets.filter((preset) => preset.is_installed);
  const missing = presets.filter((preset) => !preset.is_installed);
  return (
    <section aria-labelledby="preset-heading">
      <h2 id="preset-heading" className="heading mb-2">
        Preset
      </h2>
      <fieldset className="grid gap-2 sm:grid-cols-2 xl:grid-cols-3">
        <legend className="sr-only">What is to be done</legend>
        {installed.map((preset) => (
          <PresetCard key={preset.name} preset={preset} isCurrent={preset === current} duration_s={duration_s} />
        ))}
      </fieldset>
      {missing.length > 0 && (
        <details className="mt-3 text-sm text-muted">
          <summary className="w-fit rounded py-1">
            {missing.length} more need models that this server does not have
          </summary>
          <dl className="mt-2 grid gap-x-6 gap-y-3 sm:grid-cols-2 xl:grid-cols-3">
            {missing.map((preset) => (
              <div key={preset.name}>
                <dt className="font-medium text-text">{preset.title}</dt>
                <dd>{preset.description}</dd>
                <dd>
                  <code className="text-xs">limpid models pull {preset.model}</code>
                </dd>
              </div>
            ))}
          </dl>
        </details>
      )}
    </section>
  );
}

function PresetCard({
  preset,
  isCurrent,
  duration_s,
}: {
  preset: PresetOffer;
  isCurrent: boolean;
  duration_s: number | null;
}): ReactElement {
  return (
    <label
      className={`card relative flex gap-3 p-3.5 transition-colors has-focus-visible:outline-2 has-focus-visible:outline-accent
        ${isCurrent ? "border-accent bg-accent-soft" : "hover:border-accent"}`}
    >
      <input
        type="radio"
        name="preset"
        value={preset.name}
        className="mt-1 size-4"
        checked={isCurrent}
        onChange={() => settings.set((now) => ({ ...now, preset: preset.name }))}
      />
      <span className="min-w-0 flex-1">
        <span className="font-medium">{preset.title}</span>
        <span className="mt-0.5 block text-sm text-muted">{preset.description}</span>
        <span className={`mt-1.5 block text-sm ${isCurrent ? "text-text" : "text-muted"}`}>
          {costText(preset, duration_s)}
        </span>
      </span>
    </label>
  );
}

/** "About 3 s per minute of audio"; "roughly" where nothing has been measured on this server yet. */
function costText({ rtf, rtf_source, isNonCommercial }: PresetOffer, duration_s: number | null): string {
  const eta_s = rtf * (duration_s ?? 60);
  const care = eta_s < 1 ? "" : rtf_source === "default" ? "roughly " : "about ";
  const text = `${duration_s === null ? "" : "takes "}${care}${duration(eta_s)}${duration_s === null ? " per minute of audio" : ""}`;
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}${isNonCommercial ? " · no commercial use" : ""}`;
}
