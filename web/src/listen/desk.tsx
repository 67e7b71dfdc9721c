import { useCallback, useMemo, useState, type ReactElement } from "react";

import type { Job } from "../api/types";
import type { Player } from "../audio/player";
import { decimal } from "../shell/format";
import { ProblemNotice } from "../shell/notice";
import { useStore } from "../state/store";
import { Downloads } from "./downloads";
import { Ruler } from "./ruler";
import { ShortcutHelp, useShortcuts } from "./shortcuts";
import { SpectrogramComparison } from "./spectrogram";
import { Stage } from "./stage";
import { BEFORE, matchingGains, RESIDUAL, subjectsOf, type Subject } from "./subjects";
import { Transport } from "./transport";
import { usePlayer } from "./use-player";
import { usePeaks } from "./use-view";
import { Waveform } from "./waveform";

const HEADROOM = 1.05;
const MIN_SCALE = 0.02; // so that near silence looks like it
const COLOURS: Readonly<Record<string, string>> = { [BEFORE]: "--before", [RESIDUAL]: "--muted" };

/** Where before and after are compared, by ear and by eye. */
export function Desk({ job }: { job: Job }): ReactElement {
  const subjects = useMemo(() => subjectsOf(job), [job]);
  const [isMatched, setIsMatched] = useState(true);
  const listening = usePlayer(job, subjects, isMatched);
  return (
    <>
      {listening.state === "failed" && <ProblemNotice problem={listening.problem} />}
      {listening.state === "opening" && (
        <p role="status" className="card p-4">
          Opening the recording …
        </p>
      )}
      {listening.state === "ready" && (
        <Console
          player={listening.player}
          subjects={subjects}
          isMatched={isMatched}
          onMatched={setIsMatched}
        />
      )}
      <Downloads subjects={subjects} />
    </>
  );
}

interface ConsoleProps {
  player: Player;
  subjects: readonly Subject[];
  isMatched: boolean;
  onMatched: (isMatched: boolean) => void;
}

function Console({ player, subjects, isMatched, onMatched }: ConsoleProps): ReactElement {
  const { selected, problem } = useStore(player.state);
  const heard = useMemo(() => subjects.filter((subject) => player.hasVoice(subject.id)), [subjects, player]);
  const ids = useMemo(() => heard.map((subject) => subject.id), [heard]);
  const onMatch = useCallback(() => onMatched(!isMatched), [onMatched, isMatched]);
  useShortcuts(player, { ids, onMatch });
  const before = subjects.find((subject) => subject.id === BEFORE);
  const after = subjects.find((subject) => subject.id === selected && subject !== before) ?? subjects[1];
  return (
    <section aria-label="Listen" className="card overflow-hidden">
      <div className="flex flex-wrap items-center justify-between gap-x-6 gap-y-3 p-4">
        <VoicePicker player={player} subjects={heard} />
        <label className="flex min-h-10 items-center gap-2 text-sm">
          <input type="checkbox" className="size-4" checked={isMatched} onChange={onMatch} />
          <span>
            Same loudness <span className="text-muted">{isMatched && matchText(heard)}</span>
          </span>
        </label>
      </div>
      <Stage player={player}>
        <Lanes subjects={heard} selected={selected} />
        <Ruler duration_s={player.duration_s} />
        {before?.spectrogram && after?.spectrogram && (
          <SpectrogramComparison before={before} after={after} sampleRate={player.sampleRate} />
        )}
      </Stage>
      <Transport player={player} />
      <div className="flex flex-col gap-3 px-4 pb-4">
        {problem !== null && <ProblemNotice problem={problem} />}
        {!ids.includes(BEFORE) && <p className="text-sm text-muted">This browser cannot play the recording as it was sent.</p>}
        <p className="text-sm text-muted">Click a waveform to go there, drag over it to repeat a part.</p>
        <ShortcutHelp />
      </div>
    </section>
  );
}

function VoicePicker({ player, subjects }: { player: Player; subjects: readonly Subject[] }): ReactElement {
  const { selected } = useStore(player.state);
  return (
    <fieldset className="flex flex-wrap rounded-xl bg-raised p-1">
      <legend className="sr-only">What you hear</legend>
      {subjects.map((subject) => (
        <label
          key={subject.id}
          className={`flex min-h-10 items-center rounded-lg px-4 text-sm font-semibold transition-colors
            has-focus-visible:outline-2 has-focus-visible:outline-accent
            ${subject.id === selected ? "bg-accent text-on-accent" : "text-muted hover:text-text"}`}
        >
          <input
            type="radio"
            name="voice"
            className="sr-only"
            checked={subject.id === selected}
            onChange={() => player.select(subject.id)}
          />
          {subject.label}
        </label>
      ))}
    </fieldset>
  );
}

function Lanes({ subjects, selected }: { subjects: readonly Subject[]; selected: string }): ReactElement {
  const peaks = usePeaks(subjects);
  const scale = HEADROOM * Math.max(MIN_SCALE, ...[...peaks.values()].map((one) => one.largest));
  return (
    <>
      {subjects.map((subject) => (
        <div key={subject.id} className="relative h-16 border-t border-line sm:h-20">
          <Waveform
            peaks={peaks.get(subject.id) ?? null}
            scale={scale}
            colour={COLOURS[subject.id] ?? "--accent"}
            isSelected={subject.id === selected}
          />
          <span className="absolute top-1 left-2 rounded bg-surface/80 px-1 text-xs font-medium">{subject.label}</span>
        </div>
      ))}
    </>
  );
}

/** "Before −3.2 dB": what the matching does. */
function matchText(subjects: readonly Subject[]): string {
  const gains = matchingGains(subjects);
  return subjects
    .filter((subject) => subject.id !== RESIDUAL && (gains.get(subject.id) ?? 0) < -0.05)
    .map((subject) => `${subject.label} ${decimal(gains.get(subject.id) ?? 0)} dB`)
    .join(", ");
}
