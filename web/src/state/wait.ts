/** Resolves after `ms`, or as soon as the network comes back; rejects when `signal` aborts. */
export async function waitToRetry(ms: number, signal?: AbortSignal): Promise<void> {
  signal?.throwIfAborted();
  await new Promise<void>((resolve, reject) => {
    const stop = (): void => {
      clearTimeout(timer);
      window.removeEventListener("online", finish);
      signal?.removeEventListener("abort", abort);
    };
    const finish = (): void => {
      stop();
      resolve();
    };
    const abort = (): void => {
      stop();
      reject(signal?.reason as Error);
    };
    const timer = setTimeout(finish, ms);
    window.addEventListener("online", finish);
    signal?.addEventListener("abort", abort);
  });
}

/** Milliseconds to wait before try number `attempt` (from 1): 0.5 s, doubled each time, 5 s at most. */
export function retryDelayMs(attempt: number): number {
  return Math.min(500 * 2 ** (attempt - 1), 5000);
}
