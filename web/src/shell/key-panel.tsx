import { useState, type SyntheticEvent, type ReactElement } from "react";

import { apiKey, isKeyWanted, rememberKey } from "../api/key";
import { useStore } from "../state/store";

/** Where the person gives their API key, shown when the server asks for one. */
export function KeyPanel(): ReactElement | null {
  const isWanted = useStore(isKeyWanted);
  const known = useStore(apiKey);
  const [entered, setEntered] = useState("");
  if (!isWanted) return null;
  const submit = (event: SyntheticEvent): void => {
    event.preventDefault();
    rememberKey(entered.trim());
    setEntered("");
  };
  return (
    <section aria-labelledby="key-heading" className="px-4 pb-5 sm:px-6">
      <form onSubmit={submit} className="card flex flex-wrap items-end gap-3 p-4">
        <div className="min-w-64 flex-1">
          <h2 id="key-heading" className="font-semibold">
            API key
          </h2>
          <label htmlFor="api-key" className="text-sm text-muted">
            {known === "" ? "This server asks for one where it has authentication on." : "Another key replaces the one in use."}{" "}
            It is kept until you close this tab.
          </label>
          <input
            id="api-key"
            type="password"
            autoComplete="off"
            spellCheck={false}
            value={entered}
            onChange={(event) => setEntered(event.target.value)}
            className="mt-2 block min-h-10 w-full rounded-lg border border-line bg-ground px-3"
          />
        </div>
        <button type="submit" className="button button-primary" disabled={entered.trim() === ""}>
          Use this key
        </button>
        {known !== "" && (
          <button type="button" className="button" onClick={() => rememberKey("")}>
            Forget it
          </button>
        )}
        <button type="button" className="button button-quiet" onClick={() => isKeyWanted.set(false)}>
          Close
        </button>
      </form>
    </section>
  );
}
