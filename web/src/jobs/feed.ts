import { API, ApiProblem, ConnectionLost, describeProblem, requestJson } from "../api/client";
import { followJob } from "../api/events";
import { hasEnded, type Job, type JobPage, type Problem } from "../api/types";
import { createStore } from "../state/store";
import { retryDelayMs, waitToRetry } from "../state/wait";

/** A browser opens six connections to a server at most; these many may each be held by one job's events. */
const MAX_STREAMS = 3;
const PAGE = 50;
const POLL_ACTIVE_MS = 2500; // for the jobs beyond MAX_STREAMS
const POLL_IDLE_MS = 10_000; // other clients submit too

export interface Feed {
  jobs: readonly Job[]; // newest first
  nextCursor: string | null;
  hasLoaded: boolean;
  problem: Problem | null;
}

/** The caller's jobs, kept up to date. */
export const feed = createStore<Feed>({ jobs: [], nextCursor: null, hasLoaded: false, problem: null });

const streams = new Map<string, AbortController>();
const deleted = new Set<string>(); // a list that was asked for earlier may still hold them
let watched: string | null = null;
let wake: (() => void) | null = null;

/** Keeps `feed` up to date until `signal` aborts. */
export async function runFeed(signal: AbortSignal): Promise<void> {
  document.addEventListener("visibilitychange", refresh, { signal });
  window.addEventListener("online", refresh, { signal });
  for (let failures = 0; !signal.aborted;) {
    try {
      await loadNewest();
      failures = 0;
    } catch (error) {
      failures += 1;
      feed.set((now) => ({ ...now, problem: error instanceof ConnectionLost ? null : describeProblem(error) }));
    }
    const isActive = feed.get().jobs.some((job) => !hasEnded(job));
    const pause = failures > 0 ? retryDelayMs(failures) : isActive ? POLL_ACTIVE_MS : POLL_IDLE_MS;
    await nextLook(document.hidden ? 10 * pause : pause, signal);
  }
}

/** Forgets everything: another person's key sees other jobs. */
export function clearFeed(): void {
  for (const stream of streams.values()) stream.abort();
  feed.set({ jobs: [], nextCursor: null, hasLoaded: false, problem: null });
}

/** Look again at once. */
export function refresh(): void {
  wake?.();
}

/** Gives the job that the person looks at the first right to a stream of events. */
export function watchJob(id: string | null): void {
  watched = id;
  followActive();
}

/** Takes in a job as the server has just shown it. */
export function takeJob(job: Job): void {
  if (deleted.has(job.id)) return;
  feed.set((now) => ({ ...now, jobs: merge(now.jobs, [job]) }));
  followActive();
}

/** Forgets a job that has been deleted. */
export function dropJob(id: string): void {
  deleted.add(id);
  streams.get(id)?.abort();
  feed.set((now) => ({ ...now, jobs: now.jobs.filter((job) => job.id !== id) }));
}

/** The next page of older jobs. */
export async function loadOlder(): Promise<void> {
  const { nextCursor } = feed.get();
  if (nextCursor === null) return;
  const page = await requestJson<JobPage>(`${API}/jobs?limit=${PAGE}&cursor=${encodeURIComponent(nextCursor)}`);
  feed.set((now) => ({ ...now, jobs: merge(now.jobs, page.jobs), nextCursor: page.next_cursor }));
}

async function loadNewest(): Promise<void> {
  const page = await requestJson<JobPage>(`${API}/jobs?limit=${PAGE}`);
  feed.set((now) => ({
    jobs: merge(now.jobs, page.jobs),
    nextCursor: now.hasLoaded ? now.nextCursor : page.next_cursor,
    hasLoaded: true,
    problem: null,
  }));
  followActive();
}

/** `known` with the news of `found`. Lists do not tell places in the queue, so the last one heard of stays. */
function merge(known: readonly Job[], found: readonly Job[]): Job[] {
  const jobs = new Map(known.map((job) => [job.id, job]));
  for (const job of found) {
    const before = jobs.get(job.id);
    if (deleted.has(job.id) || (before !== undefined && isNewer(before, job))) continue;
    const news = { ...job, queue_position: job.queue_position ?? before?.queue_position ?? null };
    // What has not changed stays the same object: what hangs on it, such as a player, goes on undisturbed.
    if (JSON.stringify(news) !== JSON.stringify(before)) jobs.set(job.id, news);
  }
  return [...jobs.values()].sort((a, b) => (a.created_at < b.created_at ? 1 : a.created_at > b.created_at ? -1 : 0));
}

/** True when `a` is further than `b`: a list may have been asked for before an event came. */
function isNewer(a: Job, b: Job): boolean {
  if (hasEnded(a) !== hasEnded(b)) return hasEnded(a);
  return a.attempt > b.attempt || (a.attempt === b.attempt && a.progress.fraction > b.progress.fraction);
}

/** Opens streams for the jobs that are worth one, the watched one first, and closes the others. */
function followActive(): void {
  const active = feed.get().jobs.filter((job) => !hasEnded(job));
  const rank = (job: Job): number => (job.id === watched ? 0 : job.status === "queued" ? 2 : 1);
  const wanted = active.sort((a, b) => rank(a) - rank(b)).slice(0, MAX_STREAMS);
  const ids = new Set(wanted.map((job) => job.id));
  for (const [id, stream] of streams) if (!ids.has(id)) stream.abort();
  for (const job of wanted) if (!streams.has(job.id)) void stream(job);
}

async function stream(job: Job): Promise<void> {
  const controller = new AbortController();
  streams.set(job.id, controller);
  let lastId = "";
  let failures = 0;
  const take = (news: Job, id: string): void => {
    lastId = id;
    failures = 0;
    takeJob(news);
  };
  try {
    for (;;) {
      try {
        await followJob(job, lastId, take, controller.signal);
        return;
      } catch (error) {
        if (controller.signal.aborted || error instanceof ApiProblem) return; // the list tells what has become of it
        failures += 1;
        await waitToRetry(retryDelayMs(failures), controller.signal);
      }
    }
  } catch (error) {
    if (!controller.signal.aborted) throw error;
  } finally {
    streams.delete(job.id);
  }
}

async function nextLook(ms: number, signal: AbortSignal): Promise<void> {
  await new Promise<void>((resolve) => {
    const timer = setTimeout(resolve, ms);
    wake = () => {
      clearTimeout(timer);
      resolve();
    };
    signal.addEventListener("abort", () => wake?.(), { once: true });
  });
}
