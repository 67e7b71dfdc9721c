import { useEffect, type ReactElement } from "react";

import { useStore } from "./state/store";
import { apiKey } from "./api/key";
import { BatchPage } from "./jobs/batch-page";
import { runFeed } from "./jobs/feed";
import { JobList } from "./jobs/job-list";
import { JobPage } from "./jobs/job-page";
import { ConnectionBanner } from "./shell/connection-banner";
import { Header } from "./shell/header";
import { KeyPanel } from "./shell/key-panel";
import { useRoute } from "./shell/route";
import { StartPage } from "./submit/start-page";

export function App(): ReactElement {
  const route = useRoute();
  const key = useStore(apiKey);
  useEffect(() => {
    const controller = new AbortController();
    void runFeed(controller.signal);
    return () => controller.abort();
  }, [key]);
  const isStart = route.page === "start";
  return (
    <div className="mx-auto flex min-h-dvh max-w-[1680px] flex-col">
      <a href="#content" className="button sr-only z-10 focus:not-sr-only focus:absolute">
        Skip to content
      </a>
      <Header />
      <ConnectionBanner />
      <KeyPanel />
      <div className="flex flex-1 flex-col gap-6 px-4 pb-10 sm:px-6 lg:flex-row">
        <main id="content" tabIndex={-1} className="min-w-0 flex-1 outline-none lg:order-2">
          {route.page === "start" && <StartPage key={key} />}
          {route.page === "job" && <JobPage key={`${key}${route.id}`} id={route.id} />}
          {route.page === "batch" && <BatchPage key={`${key}${route.id}`} id={route.id} />}
        </main>
        <aside aria-label="Recordings" className={`w-full lg:block lg:w-80 lg:shrink-0 ${isStart ? "" : "hidden"}`}>
          <JobList route={route} />
        </aside>
      </div>
    </div>
  );
}
