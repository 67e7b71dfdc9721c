import type { ReactElement } from "react";

/** A thin bar; `fraction` is 0..1. */
export function ProgressBar({ label, fraction }: { label: string; fraction: number }): ReactElement {
  const percent = Math.round(100 * Math.min(Math.max(fraction, 0), 1));
  return (
    <div
      role="progressbar"
      aria-label={label}
      aria-valuemin={0}
      aria-valuemax={100}
      aria-valuenow={percent}
      className="mt-2 h-1.5 overflow-hidden rounded-full bg-raised"
    >
      <div className="h-full rounded-full bg-accent transition-[width] duration-500" style={{ width: `${percent}%` }} />
    </div>
  );
}
