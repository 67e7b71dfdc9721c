import { useEffect, type ReactElement } from "react";

import type { Player } from "../audio/player";
import { BEFORE, RESIDUAL } from "./subjects";
import { toggleLoop } from "./transport";

const STEP_S = 5;
const SMALL_STEP_S = 1;

const KEYS: readonly (readonly [keys: string, effect: string])[] = [
  ["Space", "play or pause"],
  ["X", "change between before and after"],
  ["1 … 9", "choose a signal"],
  ["R", "hear what was removed"],
  ["L", "loop on or off"],
  ["M", "loudness matching on or off"],
  ["← →", `${STEP_S} seconds back or on; with Shift ${SMALL_STEP_S} second`],
  ["Home", "back to the start"],
];

interface Options {
  ids: readonly string[]; // of the signals, in the order of the keys
  onMatch: () => void;
}

/** Lets the keyboard play, wherever the focus is but in a field of text or a slider. */
export function useShortcuts(player: Player, { ids, onMatch }: Options): void {
  useEffect(() => {
    const press = (event: KeyboardEvent): void => {
      if (event.ctrlKey || event.metaKey || event.altKey || isTakenBy(event)) return;
      const action = actionOf(event, player, { ids, onMatch });
      if (action === null) return;
      event.preventDefault();
      action();
    };
    document.addEventListener("keydown", press);
    return () => document.removeEventListener("keydown", press);
  }, [player, ids, onMatch]);
}

export function ShortcutHelp(): ReactElement {
  return (
    <details className="text-sm text-muted">
      <summary className="w-fit rounded py-1">Keyboard shortcuts</summary>
      <dl className="mt-2 grid grid-cols-[auto_1fr] gap-x-4 gap-y-1.5">
        {KEYS.map(([keys, effect]) => (
          <div key={keys} className="contents">
            <dt>
              <kbd className="rounded border border-line bg-raised px-1.5 py-0.5 text-text">{keys}</kbd>
            </dt>
            <dd>{effect}</dd>
          </div>
        ))}
      </dl>
    </details>
  );
}

function actionOf(event: KeyboardEvent, player: Player, { ids, onMatch }: Options): (() => void) | null {
  const step_s = event.shiftKey ? SMALL_STEP_S : STEP_S;
  switch (event.key.toLowerCase()) {
    case " ":
      return () => player.toggle();
    case "x":
      return () => player.select(otherThan(player.state.get().selected, ids));
    case "r":
      return ids.includes(RESIDUAL) ? () => player.select(RESIDUAL) : null;
    case "l":
      return () => toggleLoop(player);
    case "m":
      return onMatch;
    case "arrowleft":
      return () => player.seek(player.position_s - step_s);
    case "arrowright":
      return () => player.seek(player.position_s + step_s);
    case "home":
      return () => player.seek(0);
    default: {
      const id = /^[1-9]$/.test(event.key) ? ids[Number(event.key) - 1] : undefined;
      return id === undefined ? null : () => player.select(id);
    }
  }
}

function otherThan(selected: string, ids: readonly string[]): string {
  const result = ids.find((id) => id !== BEFORE && id !== RESIDUAL) ?? selected;
  return selected === BEFORE ? result : ids.includes(BEFORE) ? BEFORE : result;
}

/** True when the element with the focus has a use of its own for the key. */
function isTakenBy(event: KeyboardEvent): boolean {
  const element = event.target instanceof HTMLElement ? event.target : null;
  if (element === null) return false;
  const isText = element.matches("input:not([type=range],[type=checkbox],[type=radio]), textarea, select");
  const isSpace = event.key === " " && element.closest("button, a, summary, input") !== null;
  const isMove = /^(Arrow|Home|End)/.test(event.key) && element.matches("input, [role=slider], [role=radio]");
  return isText || isSpace || isMove;
}
