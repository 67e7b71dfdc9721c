import { useState, type KeyboardEvent, type PointerEvent, type ReactElement } from "react";

import { usePicture } from "./use-view";
import type { Subject } from "./subjects";

/** The server draws 1600 x 400 pixels with axes around this plot area. */
const PICTURE = { width: 1600, height: 400, left: 64, right: 56, top: 28, bottom: 28 };
const PLOT_WIDTH = PICTURE.width - PICTURE.left - PICTURE.right;
const PLOT_HEIGHT = PICTURE.height - PICTURE.top - PICTURE.bottom;
const CROP = {
  left: `${(-100 * PICTURE.left) / PLOT_WIDTH}%`,
  top: `${(-100 * PICTURE.top) / PLOT_HEIGHT}%`,
  width: `${(100 * PICTURE.width) / PLOT_WIDTH}%`,
  height: `${(100 * PICTURE.height) / PLOT_HEIGHT}%`,
};
const STEP = 0.02;
const TICKS_HZ = [500, 1000, 2000, 4000, 8000, 16_000];

interface Props {
  before: Subject;
  after: Subject;
  sampleRate: number;
}

/** Both spectrograms in one place, with a handle between them: the recording to its left, the result to its right. */
export function SpectrogramComparison({ before, after, sampleRate }: Props): ReactElement {
  const [split, setSplit] = useState(0.5);
  const pictures = [usePicture(before.spectrogram), usePicture(after.spectrogram)];
  return (
    <div className="relative h-44 overflow-hidden bg-[#0e1418] sm:h-56">
      {pictures[0] != null && (
        <img src={pictures[0]} alt={`Spectrogram: ${before.label}`} draggable={false} className="absolute max-w-none" style={CROP} />
      )}
      {pictures[1] != null && (
        <div className="absolute inset-0" style={{ clipPath: `inset(0 0 0 ${100 * split}%)` }}>
          <img src={pictures[1]} alt={`Spectrogram: ${after.label}`} draggable={false} className="absolute max-w-none" style={CROP} />
        </div>
      )}
      {TICKS_HZ.filter((tick_hz) => tick_hz < 0.42 * sampleRate).map((tick_hz) => (
        <span
          key={tick_hz}
          className="pointer-events-none absolute right-1.5 translate-y-1/2 rounded bg-[#0e1418]/80 px-1 text-[0.65rem] leading-4 text-[#c9d6db]"
          style={{ bottom: `${(100 * mel(tick_hz)) / mel(sampleRate / 2)}%` }}
        >
          {tick_hz >= 1000 ? `${tick_hz / 1000} kHz` : `${tick_hz} Hz`}
        </span>
      ))}
      <SplitHandle split={split} onSplit={setSplit} labels={[before.label, after.label]} />
    </div>
  );
}

interface HandleProps {
  split: number; // 0..1 from the left
  onSplit: (split: number) => void;
  labels: [string, string];
}

function SplitHandle({ split, onSplit, labels }: HandleProps): ReactElement {
  const move = (event: PointerEvent<HTMLDivElement>): void => {
    if (!event.currentTarget.hasPointerCapture(event.pointerId)) return;
    const box = event.currentTarget.parentElement?.getBoundingClientRect();
    if (box) onSplit(clamp((event.clientX - box.left) / box.width));
  };
  const press = (event: KeyboardEvent): void => {
    const places: Record<string, number> = { ArrowLeft: split - STEP, ArrowRight: split + STEP, Home: 0, End: 1 };
    const place = places[event.key];
    if (place === undefined) return;
    event.preventDefault();
    event.stopPropagation(); // the arrows also move through the recording
    onSplit(clamp(place));
  };
  return (
    <div
      role="slider"
      tabIndex={0}
      aria-label={`Comparison of spectrograms: ${labels[0]} to the left, ${labels[1]} to the right`}
      aria-valuemin={0}
      aria-valuemax={100}
      aria-valuenow={Math.round(100 * split)}
      aria-valuetext={`${Math.round(100 * split)} % ${labels[0]}`}
      onPointerDown={(event) => {
        event.stopPropagation();
        event.currentTarget.setPointerCapture(event.pointerId);
      }}
      onPointerMove={move}
      onKeyDown={press}
      className="absolute inset-y-0 z-10 w-8 -translate-x-1/2 cursor-ew-resize touch-none"
      style={{ left: `${100 * split}%` }}
    >
      <span aria-hidden="true" className="absolute inset-y-0 left-1/2 w-0.5 -translate-x-1/2 bg-white/80" />
      <span
        aria-hidden="true"
        className="absolute top-1/2 left-1/2 flex h-8 w-6 -translate-1/2 items-center justify-center rounded-full bg-white text-xs
          font-bold text-[#10201f] shadow"
      >
        ↔
      </span>
      <span aria-hidden="true" className="absolute bottom-1.5 right-full rounded bg-black/70 px-1.5 text-xs text-white">
        {labels[0]}
      </span>
      <span aria-hidden="true" className="absolute bottom-1.5 left-full rounded bg-black/70 px-1.5 text-xs text-white">
        {labels[1]}
      </span>
    </div>
  );
}

function clamp(value: number): number {
  return Math.min(Math.max(value, 0), 1);
}

/** The scale of the pictures' axis. */
function mel(frequency_hz: number): number {
  return 2595 * Math.log10(1 + frequency_hz / 700);
}
