import { useEffect, useMemo, useState } from "react";

import { ConnectionLost, describeProblem } from "../api/client";
import type { Job, Problem } from "../api/types";
import { Player } from "../audio/player";
import { retryDelayMs, waitToRetry } from "../state/wait";
import { openVoices } from "./open-voices";
import { BEFORE, matchingGains, type Subject } from "./subjects";

export type Listening = { state: "opening" } | { state: "ready"; player: Player } | { state: "failed"; problem: Problem };

/** A player over the subjects of a finished job. */
export function usePlayer(job: Job, subjects: readonly Subject[], isMatched: boolean): Listening {
  const [listening, setListening] = useState<Listening>({ state: "opening" });
  useEffect(() => {
    const controller = new AbortController();
    let player: Player | null = null;
    openPlayer(job, subjects, controller.signal).then(
      (opened) => {
        player = opened;
        if (controller.signal.aborted) opened.close();
        else setListening({ state: "ready", player: opened });
      },
      (error: unknown) => {
        if (!controller.signal.aborted) setListening({ state: "failed", problem: describeProblem(error) });
      },
    );
    return () => {
      controller.abort();
      player?.close();
    };
  }, [job, subjects]);
  const gains = useMemo(() => matchingGains(subjects), [subjects]);
  useEffect(() => {
    if (listening.state !== "ready") return;
    for (const [id, gain_db] of gains) listening.player.setGain(id, isMatched ? gain_db : 0);
  }, [listening, gains, isMatched]);
  return listening;
}

async function openPlayer(job: Job, subjects: readonly Subject[], signal: AbortSignal): Promise<Player> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      const [first, ...others] = await openVoices(job, subjects, signal);
      if (first === undefined) throw new Error("This browser plays none of the job's files. Download them instead.");
      const selected = [first, ...others].find((voice) => voice.id !== BEFORE) ?? first;
      return new Player([first, ...others], selected.id);
    } catch (error) {
      if (!(error instanceof ConnectionLost)) throw error;
    }
    await waitToRetry(retryDelayMs(attempt), signal);
  }
}
