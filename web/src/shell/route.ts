import { useSyncExternalStore } from "react";

/** What the page shows, kept in the address behind `#`, so that reloading and "back" work. */
export type Route = { page: "start" } | { page: "job"; id: string } | { page: "batch"; id: string };

export function jobPath(id: string): string {
  return `#/jobs/${id}`;
}

export function batchPath(id: string): string {
  return `#/batches/${id}`;
}

export const START_PATH = "#/";

export function go(path: string): void {
  location.hash = path;
}

/** Goes there unless the person has opened something else in the meantime. */
export function goOn(path: string): void {
  if (parseRoute(location.hash).page === "start") go(path);
}

export function parseRoute(hash: string): Route {
  const found = /^#\/(jobs|batches)\/([0-9a-f-]{36})$/.exec(hash);
  if (!found) return { page: "start" };
  return { page: found[1] === "jobs" ? "job" : "batch", id: found[2] ?? "" };
}

export function useRoute(): Route {
  return parseRoute(useSyncExternalStore(subscribe, () => location.hash));
}

function subscribe(listener: () => void): () => void {
  window.addEventListener("hashchange", listener);
  return () => window.removeEventListener("hashchange", listener);
}
