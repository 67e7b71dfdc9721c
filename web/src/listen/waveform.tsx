import { useEffect, useRef, type ReactElement } from "react";

import { extremesOf, type Peaks } from "../audio/peaks";
import { theme } from "../state/theme";
import { useStore } from "../state/store";

interface Props {
  peaks: Peaks | null;
  scale: number; // the magnitude that fills the height
  colour: string; // a custom property's name
  isSelected: boolean;
}

/** The outline of a signal over its whole length. A picture only: the stage around it is what can be used. */
export function Waveform({ peaks, scale, colour, isSelected }: Props): ReactElement {
  const canvas = useRef<HTMLCanvasElement>(null);
  const currentTheme = useStore(theme);
  useEffect(() => {
    const element = canvas.current;
    if (element === null || peaks === null) return undefined;
    const draw = (): void => drawPeaks(element, peaks, scale, colour);
    const observer = new ResizeObserver(draw);
    observer.observe(element);
    return () => observer.disconnect();
  }, [peaks, scale, colour, currentTheme]);
  return (
    <canvas
      ref={canvas}
      aria-hidden="true"
      className={`absolute inset-0 size-full transition-opacity ${isSelected ? "" : "opacity-45"}`}
    />
  );
}

function drawPeaks(canvas: HTMLCanvasElement, peaks: Peaks, scale: number, colour: string): void {
  const { width, height } = canvas.getBoundingClientRect();
  const ratio = window.devicePixelRatio;
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(height * ratio);
  const context = canvas.getContext("2d");
  if (context === null) return;
  context.fillStyle = getComputedStyle(canvas).getPropertyValue(colour);
  const middle = canvas.height / 2;
  for (let column = 0; column < canvas.width; column += 1) {
    const [low, high] = extremesOf(peaks, column, canvas.width);
    const top = middle - (high / scale) * middle;
    const bottom = middle - (low / scale) * middle;
    context.fillRect(column, top, 1, Math.max(bottom - top, ratio / 2));
  }
}
