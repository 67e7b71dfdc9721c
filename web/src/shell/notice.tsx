import type { ReactElement, ReactNode } from "react";

import type { Problem } from "../api/types";
import { Icon } from "./icons";

/** What went wrong, in the server's words, and what can be done about it. */
export function ProblemNotice({ problem, children }: { problem: Problem; children?: ReactNode }): ReactElement {
  return (
    <div role="alert" className="card border-danger/50 p-4 text-sm">
      <p className="flex items-center gap-2 font-semibold text-danger">
        <Icon name="warning" />
        {problem.title}
      </p>
      <p className="mt-1 break-words">{problem.detail}</p>
      {children !== undefined && <div className="mt-3 flex flex-wrap gap-2">{children}</div>}
    </div>
  );
}
