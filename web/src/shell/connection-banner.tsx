import type { ReactElement } from "react";

import { isConnected } from "../state/connection";
import { useStore } from "../state/store";
import { Icon } from "./icons";

/** Says that the server is away, and that nothing needs to be done about it. */
export function ConnectionBanner(): ReactElement {
  const connected = useStore(isConnected);
  return (
    <div role="status" className="px-4 sm:px-6">
      {!connected && (
        <p className="mb-4 flex items-center gap-2 rounded-lg border border-warn/50 bg-surface px-4 py-2.5 text-sm">
          <Icon name="warning" className="size-5 text-warn" />
          No connection to the server. Uploads and progress go on by themselves once it is back.
        </p>
      )}
    </div>
  );
}
