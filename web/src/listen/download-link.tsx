import { useState, type ReactElement, type ReactNode } from "react";

import { describeProblem, request } from "../api/client";
import { apiKey } from "../api/key";
import type { Problem } from "../api/types";
import { Icon } from "../shell/icons";
import { ProblemNotice } from "../shell/notice";
import { useStore } from "../state/store";

interface Props {
  href: string;
  name: string;
  isPrimary?: boolean;
  children: ReactNode;
}

/** Saves a file. With an API key, which a plain link cannot send, the page fetches it first. */
export function DownloadLink({ href, name, isPrimary = false, children }: Props): ReactElement {
  const key = useStore(apiKey);
  const [isBusy, setIsBusy] = useState(false);
  const [problem, setProblem] = useState<Problem | null>(null);
  const style = `button ${isPrimary ? "button-primary" : ""}`;
  const label = (
    <>
      <Icon name="download" className="size-4" />
      {children}
    </>
  );
  if (key === "") {
    return (
      <a href={href} download={name} className={style}>
        {label}
      </a>
    );
  }
  const fetchFile = (): void => {
    setIsBusy(true);
    saveFile(href, name)
      .then(
        () => setProblem(null),
        (error: unknown) => setProblem(describeProblem(error)),
      )
      .finally(() => setIsBusy(false));
  };
  return (
    <>
      <button type="button" className={style} disabled={isBusy} onClick={fetchFile}>
        {label}
      </button>
      {problem !== null && <ProblemNotice problem={problem} />}
    </>
  );
}

async function saveFile(href: string, name: string): Promise<void> {
  const response = await request(`${href}?redirect=false`);
  const url = URL.createObjectURL(await response.blob());
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000); // the browser takes the file over in its own time
}
