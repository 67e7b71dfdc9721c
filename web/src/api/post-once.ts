import { newId } from "../state/ids";
import { retryDelayMs, waitToRetry } from "../state/wait";
import { API, ApiProblem, ConnectionLost, requestJson } from "./client";

const MAX_TRIES = 30; // about two minutes

/** A submission that has its effect once, however often a lost connection makes us send it. */
export async function postOnce<T>(path: "/jobs" | "/batches", json: unknown, signal?: AbortSignal): Promise<T> {
  const headers = { "Idempotency-Key": newId() };
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await requestJson<T>(`${API}${path}`, { method: "POST", json, headers, signal });
    } catch (error) {
      const isInFlight = error instanceof ApiProblem && error.problem.code === "idempotency_in_flight";
      if (!(error instanceof ConnectionLost || isInFlight) || attempt === MAX_TRIES) throw error;
    }
    await waitToRetry(retryDelayMs(attempt), signal);
  }
}
