import { useEffect, useRef, useState, type PointerEvent, type ReactElement, type ReactNode } from "react";

import type { Player } from "../audio/player";
import type { Region } from "../audio/schedule";
import { useStore } from "../state/store";

const DRAG_PIXELS = 5; // less is a click
const MIN_LOOP_S = 0.1;

/**
 * The time axis that the lanes in it share. A click goes there, a drag marks what is to be repeated; by keyboard the
 * transport does both.
 */
export function Stage({ player, children }: { player: Player; children: ReactNode }): ReactElement {
  const box = useRef<HTMLDivElement>(null);
  const [drag, setDrag] = useState<Drag | null>(null);
  const { loop } = useStore(player.state);
  const placeOf = (event: PointerEvent): number => {
    const { left, width } = event.currentTarget.getBoundingClientRect();
    return Math.min(Math.max((event.clientX - left) / width, 0), 1);
  };
  const release = (event: PointerEvent): void => {
    if (drag === null) return;
    setDrag(null);
    const marked = regionOf({ ...drag, to: placeOf(event) }, player.frames);
    if (drag.isMarking && marked.stop - marked.start >= MIN_LOOP_S * player.sampleRate) player.setLoop(marked);
    else player.seek(drag.from * player.duration_s);
  };
  const shown = drag?.isMarking === true ? regionOf(drag, player.frames) : loop;
  return (
    <div
      ref={box}
      className="relative touch-pan-y overflow-hidden select-none"
      onPointerDown={(event) => {
        if (event.button !== 0) return;
        event.currentTarget.setPointerCapture(event.pointerId);
        const from = placeOf(event);
        setDrag({ from, to: from, startX: event.clientX, isMarking: false });
      }}
      onPointerMove={(event) => {
        if (drag === null) return;
        const isMarking = drag.isMarking || Math.abs(event.clientX - drag.startX) > DRAG_PIXELS;
        setDrag({ ...drag, to: placeOf(event), isMarking });
      }}
      onPointerUp={release}
      onPointerCancel={() => setDrag(null)}
    >
      {children}
      {shown !== null && (
        <div
          aria-hidden="true"
          className="pointer-events-none absolute inset-y-0 border-x-2 border-accent bg-accent/15"
          style={{
            left: `${(100 * shown.start) / player.frames}%`,
            width: `${(100 * (shown.stop - shown.start)) / player.frames}%`,
          }}
        />
      )}
      <Playhead player={player} />
    </div>
  );
}

interface Drag {
  from: number; // 0..1 of the recording
  to: number;
  startX: number; // pixels
  isMarking: boolean;
}

function regionOf({ from, to }: Drag, frames: number): Region {
  const [start, stop] = from < to ? [from, to] : [to, from];
  return { start: Math.round(start * frames), stop: Math.round(stop * frames) };
}

function Playhead({ player }: { player: Player }): ReactElement {
  const line = useRef<HTMLDivElement>(null);
  usePosition(player, (position_s) => {
    if (line.current) line.current.style.left = `${(100 * position_s) / player.duration_s}%`;
  });
  return <div ref={line} aria-hidden="true" className="pointer-events-none absolute inset-y-0 w-0.5 -translate-x-1/2 bg-text shadow" />;
}

/** Calls `show` with the position in seconds for every picture of the screen, without rendering anything anew. */
export function usePosition(player: Player, show: (position_s: number) => void): void {
  const latest = useRef(show);
  useEffect(() => {
    latest.current = show;
  });
  useEffect(() => {
    let request = 0;
    const step = (): void => {
      latest.current(player.position_s);
      request = requestAnimationFrame(step);
    };
    step();
    return () => cancelAnimationFrame(request);
  }, [player]);
}
