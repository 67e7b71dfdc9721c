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
  return (
    <fieldset>
      <legend className="heading mb-2">Preset</legend>
      <div className="grid gap-2 sm:grid-cols-2 xl:grid-cols-3">
        {presets.map((preset) => (
          <PresetCard key={preset.name} preset={preset} isCurrent={preset === current} duration_s={duration_s} />
        ))}
      </div>
    </fieldset>
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
        ${isCurrent ? "border-accent bg-accent-soft" : preset.is_installed ? "hover:border-accent" : "cursor-not-allowed"}`}
    >
      <input
        type="radio"
        name="preset"
        value={preset.name}
        className="mt-1 size-4"
        checked={isCurrent}
        disabled={!preset.is_installed}
        onChange={() => settings.set((now) => ({ ...now, preset: preset.name }))}
      />
      <span className="min-w-0 flex-1">
        <span className={`font-medium ${preset.is_installed ? "" : "text-muted"}`}>{preset.title}</span>
        <span className="mt-0.5 block text-sm text-muted">{preset.description}</span>
        <span className={`mt-1.5 block text-sm ${isCurrent ? "text-text" : "text-muted"}`}>
          {preset.is_installed ? costText(preset, duration_s) : "Not installed on this server"}
        </span>
      </span>
    </label>
  );
}

function costText(preset: PresetOffer, duration_s: number | null): string {
  if (preset.rtf === null) return "";
  const eta = duration_s === null ? `${duration(60 * preset.rtf)} per minute of audio` : duration(duration_s * preset.rtf);
  return `About ${eta}${preset.isMeasured ? "" : ", roughly"}${preset.isNonCommercial ? " · no commercial use" : ""}`;
}
