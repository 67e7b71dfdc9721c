import type { ReactElement } from "react";

import { useStore } from "../state/store";
import { FORMAT_NAMES, FORMATS, MAX_FORMATS, settings, type Format, type Settings } from "./settings";

/** Strength, outputs and lane. */
export function OptionFields({ hasModel }: { hasModel: boolean }): ReactElement {
  const chosen = useStore(settings);
  const change = (part: Partial<Settings>): void => settings.set({ ...chosen, ...part });
  const percent = Math.round(100 * chosen.strength);
  return (
    <section aria-labelledby="options-heading">
      <h2 id="options-heading" className="heading mb-2">
        Options
      </h2>
      <div className="card grid gap-6 p-4 md:grid-cols-2">
        <div>
          <label htmlFor="strength" className="flex justify-between text-sm font-medium">
            Strength <output htmlFor="strength">{percent} %</output>
          </label>
          <input
            id="strength"
            type="range"
            min={0}
            max={100}
            step={5}
            value={percent}
            disabled={!hasModel}
            onChange={(event) => change({ strength: Number(event.target.value) / 100 })}
            className="mt-2 w-full"
          />
          <p className="text-sm text-muted">
            {hasModel ? "Less keeps some of the room, and of the noise." : "This preset runs no model to be mixed."}
          </p>
          <label className="mt-4 flex min-h-10 items-center gap-2.5 text-sm">
            <input
              type="checkbox"
              className="size-4"
              checked={chosen.hasResidual}
              onChange={(event) => change({ hasResidual: event.target.checked })}
            />
            Also keep what was taken away
          </label>
        </div>
        <div className="flex flex-col gap-4">
          <fieldset>
            <legend className="text-sm font-medium">Files</legend>
            <div className="mt-1.5 flex flex-wrap gap-x-4">
              {FORMATS.map((format) => (
                <label key={format} className="flex min-h-9 items-center gap-2 text-sm">
                  <input
                    type="checkbox"
                    className="size-4"
                    checked={chosen.formats.includes(format)}
                    disabled={isFixed(chosen.formats, format)}
                    onChange={() => change({ formats: toggled(chosen.formats, format) })}
                  />
                  {FORMAT_NAMES[format]}
                </label>
              ))}
            </div>
          </fieldset>
          <fieldset>
            <legend className="text-sm font-medium">Lane</legend>
            <div className="mt-1.5 flex flex-wrap gap-x-4">
              {LANES.map(({ lane, text }) => (
                <label key={lane} className="flex min-h-9 items-center gap-2 text-sm">
                  <input
                    type="radio"
                    name="lane"
                    className="size-4"
                    checked={chosen.lane === lane}
                    onChange={() => change({ lane })}
                  />
                  {text}
                </label>
              ))}
            </div>
          </fieldset>
        </div>
      </div>
    </section>
  );
}

const LANES = [
  { lane: "interactive", text: "I am waiting" },
  { lane: "bulk", text: "When there is time" },
] as const;

/** One format must stay; more than the limit cannot be added. */
function isFixed(formats: readonly Format[], format: Format): boolean {
  return formats.includes(format) ? formats.length === 1 : formats.length === MAX_FORMATS;
}

function toggled(formats: readonly Format[], format: Format): Format[] {
  return FORMATS.filter((one) => (one === format ? !formats.includes(one) : formats.includes(one)));
}
