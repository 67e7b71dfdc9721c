import { useRef, useState, type ReactElement } from "react";

import type { Player } from "../audio/player";
import { clock } from "../shell/format";
import { Icon } from "../shell/icons";
import { useStore } from "../state/store";
import { usePosition } from "./stage";

const LOOP_S = 4; // what the button repeats where nothing has been marked

/** Play, position, loop and volume. */
export function Transport({ player }: { player: Player }): ReactElement {
  const { isPlaying, isBuffering, loop } = useStore(player.state);
  const [volume, setVolume] = useState(100);
  const scrubber = useRef<HTMLInputElement>(null);
  const time = useRef<HTMLSpanElement>(null);
  const hasTenths = player.duration_s < 600;
  usePosition(player, (position_s) => {
    if (time.current) time.current.textContent = clock(position_s, { tenths: hasTenths });
    if (scrubber.current === null) return;
    scrubber.current.value = String(position_s);
    const spoken = clock(position_s);
    if (scrubber.current.getAttribute("aria-valuetext") !== spoken) scrubber.current.setAttribute("aria-valuetext", spoken);
  });
  return (
    <div className="px-4 pb-4">
      <input
        ref={scrubber}
        type="range"
        aria-label="Position"
        min={0}
        max={player.duration_s}
        step={0.1}
        defaultValue={0}
        onInput={(event) => player.seek(Number(event.currentTarget.value))}
        className="block h-6 w-full"
      />
      <div className="mt-2 flex flex-wrap items-center gap-x-4 gap-y-3">
        <button
          type="button"
          className="button button-primary size-12 rounded-full p-0"
          aria-label={isPlaying ? "Pause" : "Play"}
          onClick={() => player.toggle()}
        >
          <Icon name={isPlaying ? "pause" : "play"} className="size-6" />
        </button>
        <p className="text-sm whitespace-nowrap">
          <span ref={time} className="inline-block min-w-14 text-base font-semibold" />
          <span className="text-muted"> / {clock(player.duration_s)}</span>
        </p>
        <button type="button" className="button" aria-pressed={loop !== null} onClick={() => toggleLoop(player)}>
          <Icon name="loop" className={`size-4 ${loop === null ? "" : "text-accent"}`} />
          {loop === null ? "Loop" : `${loopTime(player, loop.start)} – ${loopTime(player, loop.stop)}`}
        </button>
        <label className="flex items-center gap-2 text-muted">
          <Icon name="volume" />
          <input
            type="range"
            aria-label="Volume"
            min={0}
            max={100}
            value={volume}
            onChange={(event) => {
              setVolume(Number(event.target.value));
              player.setVolume((Number(event.target.value) / 100) ** 2); // steps that sound even
            }}
            className="w-24"
          />
        </label>
        <p role="status" className="text-sm text-warn">
          {isBuffering && "Waiting for the recording …"}
        </p>
      </div>
    </div>
  );
}

/** Repeats a few seconds from here, or goes on. */
export function toggleLoop(player: Player): void {
  if (player.state.get().loop !== null) {
    player.setLoop(null);
    return;
  }
  const start = Math.round(player.position_s * player.sampleRate);
  const stop = Math.min(start + LOOP_S * player.sampleRate, player.frames);
  player.setLoop({ start: Math.max(0, Math.min(start, stop - player.sampleRate)), stop });
}

function loopTime(player: Player, frame: number): string {
  return clock(frame / player.sampleRate, { tenths: true });
}
