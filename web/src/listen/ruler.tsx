import type { ReactElement } from "react";

import { clock } from "../shell/format";
import { ticksOf } from "./ticks";

/** The time of the lanes above it. A picture only: the transport tells the position. */
export function Ruler({ duration_s }: { duration_s: number }): ReactElement {
  const ticks_s = ticksOf(duration_s);
  const hasTenths = ticks_s.some((tick_s) => !Number.isInteger(tick_s));
  return (
    <div aria-hidden="true" className="pointer-events-none relative h-5 border-t border-line text-[0.7rem] leading-5 text-muted">
      {ticks_s.map((tick_s) => (
        <span key={tick_s} className="absolute inset-y-0 border-l border-line pl-1" style={{ left: `${(100 * tick_s) / duration_s}%` }}>
          {clock(tick_s, { tenths: hasTenths })}
        </span>
      ))}
    </div>
  );
}
