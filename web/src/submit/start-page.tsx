import { useEffect, useState, type ReactElement } from "react";

import { describeProblem } from "../api/client";
import type { Problem } from "../api/types";
import { ProblemNotice } from "../shell/notice";
import { useStore } from "../state/store";
import { loadPresets, type PresetOffer } from "./catalogue";
import { DropZone } from "./drop-zone";
import { OptionFields } from "./option-fields";
import { PresetPicker } from "./preset-picker";
import { settings } from "./settings";
import { stage, staged, totalDuration } from "./staged";
import { Tray } from "./tray";
import { UploadList } from "./upload-list";

/** Where recordings are handed in: choose files, choose what is to be done with them, send them. */
export function StartPage(): ReactElement {
  const recordings = useStore(staged);
  const chosen = useStore(settings);
  const [presets, setPresets] = useState<readonly PresetOffer[] | null>(null);
  const [problem, setProblem] = useState<Problem | null>(null);
  const [attempt, setAttempt] = useState(0);
  useEffect(() => {
    const controller = new AbortController();
    loadPresets(controller.signal).then(
      (found) => {
        setPresets(found);
        setProblem(null);
      },
      (error: unknown) => {
        if (!controller.signal.aborted) setProblem(describeProblem(error));
      },
    );
    return () => controller.abort();
  }, [attempt]);
  const current = presets?.find((one) => (chosen.preset === null ? one.is_default : one.name === chosen.preset));
  const duration_s = totalDuration(recordings);
  return (
    <div className="flex flex-col gap-6">
      <h1 className="sr-only">Restore recordings</h1>
      <DropZone isCompact={recordings.length > 0} onFiles={stage} />
      {recordings.length > 0 && <Tray recordings={recordings} preset={current} duration_s={duration_s} />}
      <UploadList />
      {problem !== null && (
        <ProblemNotice problem={problem}>
          <button type="button" className="button" onClick={() => setAttempt(attempt + 1)}>
            Try again
          </button>
        </ProblemNotice>
      )}
      {presets !== null && <PresetPicker presets={presets} current={current} duration_s={duration_s} />}
      {presets !== null && <OptionFields hasModel={current?.model !== null} />}
    </div>
  );
}
