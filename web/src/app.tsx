import { useEffect, useRef, type ReactElement } from "react";

import { apiKey } from "./api/key";
import { BatchPage } from "./jobs/batch-page";
import { clearFeed, runFeed } from "./jobs/feed";
import { JobList, ToRecordings } from "./jobs/job-list";
import { JobPage } from "./jobs/job-page";
import { ConnectionBanner } from "./shell/connection-banner";
import { Header } from "./shell/header";
import { KeyPanel } from "./shell/key-panel";
import { useRoute } from "./shell/route";
import { useStore } from "./state/store";
import { StartPage } from "./submit/start-page";
import { UploadList } from "./submit/upload-list";

export function App(): ReactElement {
  const route = useRoute();
  const key = useStore(apiKey);
  const content = useRef<HTMLElement>(null);
  const recordings = useRef<HTMLElement>(null);
  useEffect(() => {
    const controller = new AbortController();
    void runFeed(controller.signal);
    return () => {
      controller.abort();
      clearFeed();
    };
  }, [key]);
  useEffect(() => {
    // A screen reader goes on where the new content begins.
    const enter = (): void => content.current?.focus({ preventScroll: true });
    window.addEventListener("hashchange", enter);
    return () => window.removeEventListener("hashchange", enter);
  }, []);
  const isStart = route.page === "start";
  return (
    <div className="mx-auto flex min-h-dvh max-w-[1680px] flex-col">
      <button
        type="button"
        className="button sr-only z-10 focus:not-sr-only focus:absolute"
        onClick={() => content.current?.focus()}
      >
        Skip to content
      </button>
      <Header />
      <ConnectionBanner />
      <KeyPanel />
      <div className="flex flex-1 flex-col gap-6 px-4 pb-10 sm:px-6 lg:flex-row">
        <main ref={content} tabIndex={-1} className="min-w-0 flex-1 outline-none lg:order-2">
          {isStart && <ToRecordings onGo={() => recordings.current?.scrollIntoView()} />}
          {isStart && <StartPage key={key} />}
          {route.page === "job" && <JobPage key={`${key}${route.id}`} id={route.id} />}
          {route.page === "batch" && <BatchPage key={`${key}${route.id}`} id={route.id} />}
        </main>
        <aside ref={recordings} aria-label="Recordings" className={`flex w-full flex-col gap-6 lg:flex lg:w-80 lg:shrink-0 ${isStart ? "" : "max-lg:hidden"}`}>
          {!isStart && <UploadList />}
          <JobList route={route} />
        </aside>
      </div>
    </div>
  );
}
