import type { ReactElement } from "react";

import { apiKey, isKeyWanted } from "../api/key";
import { useStore } from "../state/store";
import { chooseTheme, theme } from "../state/theme";
import { Icon } from "./icons";
import logo from "./limpid.svg";
import { START_PATH } from "./route";

export function Header(): ReactElement {
  const current = useStore(theme);
  const hasKey = useStore(apiKey) !== "";
  const other = current === "dark" ? "light" : "dark";
  return (
    <header className="flex items-center gap-3 px-4 py-4 sm:px-6">
      <a href={START_PATH} className="flex items-center gap-2.5 rounded-lg">
        <img src={logo} alt="" className="size-8" />
        <span className="text-lg font-semibold tracking-tight">Limpid</span>
      </a>
      <span className="hidden text-sm text-muted sm:inline">Hear what is under the noise</span>
      <span className="flex-1" />
      <a href="/docs" className="button button-quiet">
        API
      </a>
      <button type="button" className="button button-quiet" onClick={() => isKeyWanted.set(true)}>
        <Icon name="key" />
        <span className="sr-only sm:not-sr-only">{hasKey ? "Key set" : "API key"}</span>
      </button>
      <button
        type="button"
        className="button button-quiet"
        aria-label={`Use the ${other} theme`}
        onClick={() => chooseTheme(other)}
      >
        <Icon name={current === "dark" ? "sun" : "moon"} />
      </button>
    </header>
  );
}
