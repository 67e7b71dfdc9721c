import { API, ApiProblem, requestJson } from "../api/client";
import type { Estimate, Model, Preset } from "../api/types";

export interface PresetOffer extends Preset {
  /** Processing seconds per second of audio; null where the server cannot say. */
  rtf: number | null;
  /** True when the figure was measured on this server. */
  isMeasured: boolean;
  licence: string | null;
  isNonCommercial: boolean;
}

/** Every preset with its model's licence and what it costs on this server; those that can run come first. */
export async function loadPresets(signal: AbortSignal): Promise<PresetOffer[]> {
  const [{ presets }, { models }] = await Promise.all([
    requestJson<{ presets: Preset[] }>(`${API}/presets`, { signal }),
    requestJson<{ models: Model[] }>(`${API}/models`, { signal }),
  ]);
  const offers = await Promise.all(
    presets.map(async (preset): Promise<PresetOffer> => {
      const estimate = preset.is_installed ? await estimateMinute(preset.name, signal) : null;
      const model = models.find((one) => one.name === preset.model);
      return {
        ...preset,
        rtf: estimate?.rtf ?? null,
        isMeasured: estimate !== null && estimate.source !== "default",
        licence: model?.licence ?? null,
        isNonCommercial: model?.is_non_commercial ?? false,
      };
    }),
  );
  return offers.sort((a, b) => Number(b.is_installed) - Number(a.is_installed));
}

/** Null for a key that may not submit. */
async function estimateMinute(preset: string, signal: AbortSignal): Promise<Estimate | null> {
  try {
    return await requestJson<Estimate>(`${API}/estimate`, { method: "POST", json: { preset, duration_s: 60 }, signal });
  } catch (error) {
    if (error instanceof ApiProblem && error.status === 403) return null;
    throw error;
  }
}
