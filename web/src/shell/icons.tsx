import type { ReactElement } from "react";

const PATHS = {
  play: "M7 4.5v15l12-7.5z",
  pause: "M8 5v14M16 5v14",
  loop: "M17 2l4 4-4 4M3 11V9a3 3 0 0 1 3-3h15M7 22l-4-4 4-4M21 13v2a3 3 0 0 1-3 3H3",
  download: "M12 3v12m0 0-4.5-4.5M12 15l4.5-4.5M4 20h16",
  cancel: "M6 6l12 12M18 6L6 18",
  delete: "M4 7h16M9 7V4h6v3M6 7l1 13h10l1-13M10 11v5M14 11v5",
  retry: "M4 12a8 8 0 1 0 2.5-5.8M4 4v5h5",
  sliders: "M4 7h9M17 7h3M4 17h3M11 17h9M15 4.5v5M9 14.5v5",
  upload: "M12 16V4m0 0L7 9m5-5 5 5M4 17v3h16v-3",
  folder: "M3 6a1 1 0 0 1 1-1h5l2 2h9a1 1 0 0 1 1 1v10a1 1 0 0 1-1 1H4a1 1 0 0 1-1-1z",
  sun: "M12 7a5 5 0 1 0 0 10 5 5 0 0 0 0-10zM12 1v2M12 21v2M4.2 4.2l1.4 1.4M18.4 18.4l1.4 1.4M1 12h2M21 12h2M4.2 19.8l1.4-1.4M18.4 5.6l1.4-1.4",
  moon: "M20 14.5A8.5 8.5 0 0 1 9.5 4a8.5 8.5 0 1 0 10.5 10.5z",
  key: "M3.5 12a4 4 0 1 0 8 0 4 4 0 1 0-8 0M11.5 12H21v3.5M17 12v2.5",
  keyboard: "M3 6h18v12H3zM7 10h.01M11 10h.01M15 10h.01M7 14h10M18 10h.01",
  back: "M15 5l-7 7 7 7",
  plus: "M12 5v14M5 12h14",
  volume: "M4 9v6h4l5 4V5L8 9zM16.5 8.5a5 5 0 0 1 0 7",
  warning: "M12 4 2.5 20h19zM12 10v4M12 17h.01",
  check: "M5 12.5l4.5 4.5L19 7.5",
  layers: "M12 3l9 5-9 5-9-5zM3 13l9 5 9-5",
} as const;

export type IconName = keyof typeof PATHS;

/** A drawing that says nothing by itself: the text beside it, or the button's label, does. */
export function Icon({ name, className = "size-5" }: { name: IconName; className?: string }): ReactElement {
  const isFilled = name === "play";
  return (
    <svg
      aria-hidden="true"
      viewBox="0 0 24 24"
      className={`shrink-0 ${className}`}
      fill={isFilled ? "currentColor" : "none"}
      stroke="currentColor"
      strokeWidth={name === "pause" ? 4 : 1.8}
      strokeLinecap={name === "pause" ? "butt" : "round"}
      strokeLinejoin="round"
    >
      <path d={PATHS[name]} />
    </svg>
  );
}
