import type { ReactElement } from "react";

import { fileSize } from "../shell/format";
import { DownloadLink } from "./download-link";
import { RESIDUAL, type Subject } from "./subjects";

/** Every file that the job made, by signal and format. */
export function Downloads({ subjects }: { subjects: readonly Subject[] }): ReactElement {
  const results = subjects.filter((subject) => subject.files.length > 0);
  return (
    <section aria-labelledby="downloads-heading" className="card p-4">
      <h2 id="downloads-heading" className="heading mb-3">
        Download
      </h2>
      <ul className="flex flex-col gap-3">
        {results.map((subject) => (
          <li key={subject.id} className="flex flex-wrap items-center gap-2">
            <span className="w-24 text-sm font-medium">{subject.label}</span>
            {subject.files.map((file) => (
              <DownloadLink key={file.name} href={file.href} name={file.name} isPrimary={subject.id !== RESIDUAL}>
                <span>
                  <span className="sr-only">{`${subject.label} as `}</span>
                  {formatOf(file.name)} <span className="font-normal">{fileSize(file.bytes)}</span>
                </span>
              </DownloadLink>
            ))}
          </li>
        ))}
      </ul>
    </section>
  );
}

function formatOf(name: string): string {
  return (name.split(".").at(-1) ?? "").toUpperCase();
}
