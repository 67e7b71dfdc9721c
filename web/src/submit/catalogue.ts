import { API, requestJson } from "../api/client";
import type { Model, Preset } from "../api/types";

/** A preset with the licence of its model's weights. */
export interface PresetOffer extends Preset {
  licence: string | null; // null: no model runs
  isNonCommercial: boolean;
}

/** Every preset; those that this server can run come first. */
export async function loadPresets(signal: AbortSignal): Promise<PresetOffer[]> {
  const [{ presets }, { models }] = await Promise.all([
    requestJson<{ presets: Preset[] }>(`${API}/presets`, { signal }),
    requestJson<{ models: Model[] }>(`${API}/models`, { signal }),
  ]);
  const offers = presets.map((preset): PresetOffer => {
    const model = models.find((one) => one.name === preset.model);
    return { ...preset, licence: model?.licence ?? null, isNonCommercial: model?.is_non_commercial ?? false };
  });
  return offers.sort((a, b) => Number(b.is_installed) - Number(a.is_installed));
}
