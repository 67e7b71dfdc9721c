import { API, ApiProblem, ConnectionLost, problemOf, request, requestJson } from "../api/client";
import { keyHeader } from "../api/key";
import type { Problem, Upload, UploadPart } from "../api/types";
import { isConnected } from "../state/connection";
import { retryDelayMs, waitToRetry } from "../state/wait";

const PARALLEL_PARTS = 2;
/** A part that cannot be sent is tried again for about two minutes. */
const MAX_TRIES = 30;
/** The network may come back between a part that failed and the question why: once is no proof that the store refuses. */
const MAX_REFUSALS = 2;

const EMPTY: Problem = {
  code: "unsupported_media",
  title: "The file is empty",
  detail: "It holds nothing yet: it may still be being copied or recorded.",
};

interface Progress {
  signal: AbortSignal;
  onSent: (bytes: number) => void; // of the whole file
}

/**
 * Uploads `file` in parts, straight to the object store where the server says so, and returns the complete upload.
 *
 * A part that fails is sent again, so that a lost connection costs a pause. Where the object store cannot be reached
 * although the server can, because its CORS rules do not name our origin or a firewall is between, parts go through the
 * server. ApiProblem for what the server refuses.
 */
export async function uploadFile(file: File, { signal, onSent }: Progress): Promise<Upload> {
  if (file.size === 0) throw new ApiProblem(422, EMPTY);
  const upload = await retried(signal, () =>
    requestJson<Upload>(`${API}/uploads`, {
      method: "POST",
      json: { name: file.name, bytes: file.size, ...(isPlainType(file.type) ? { media_type: file.type } : {}) },
      signal,
    }),
  );
  const sentBytes = new Map<number, number>();
  const report = (number: number, bytes: number): void => {
    sentBytes.set(number, bytes);
    onSent([...sentBytes.values()].reduce((sum, one) => sum + one, 0));
  };
  try {
    const pending = [...upload.parts];
    const sender = async (): Promise<void> => {
      for (let part = pending.shift(); part !== undefined; part = pending.shift()) {
        await sendPart(upload, part, file, { signal, onSent: report.bind(null, part.number) });
      }
    };
    await Promise.all(Array.from({ length: PARALLEL_PARTS }, sender));
    return await retried(signal, () => requestJson<Upload>(upload.links.complete, { method: "POST", signal }));
  } catch (error) {
    await abandon(upload);
    throw error;
  }
}

async function sendPart(upload: Upload, part: UploadPart, file: File, progress: Progress): Promise<void> {
  const bytes = file.slice(part.offset_bytes, part.offset_bytes + part.bytes);
  const own = `${upload.links.self}/parts/${part.number}`;
  let url = part.url ?? own;
  let refusals = 0;
  await retried(progress.signal, async () => {
    try {
      await put(url, bytes, progress);
    } catch (error) {
      if (error instanceof ConnectionLost && isForeign(url)) {
        // Tells a lost network from a store that refuses this page, and renews a URL that is no longer good.
        const now = await requestJson<Upload>(upload.links.self, { signal: progress.signal });
        refusals += 1;
        const fresh = now.parts.find((one) => one.number === part.number)?.url ?? own;
        url = refusals < MAX_REFUSALS || now.parts.some((one) => one.is_received) ? fresh : own;
      }
      throw error;
    }
  });
}

/** Runs `action` until it succeeds; what the server refuses for good, and what is no lost connection, ends it. */
async function retried<T>(signal: AbortSignal, action: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await action();
    } catch (error) {
      const isPassing = error instanceof ConnectionLost || (error instanceof ApiProblem && error.status >= 500);
      if (!isPassing || attempt === MAX_TRIES) throw error;
    }
    await waitToRetry(retryDelayMs(attempt), signal);
  }
}

/** One PUT, with XMLHttpRequest: `fetch` does not tell how much has been sent. */
function put(url: string, bytes: Blob, { signal, onSent }: Progress): Promise<void> {
  return new Promise((resolve, reject) => {
    const sender = new XMLHttpRequest();
    sender.open("PUT", url);
    if (!isForeign(url)) for (const [name, value] of Object.entries(keyHeader())) sender.setRequestHeader(name, value);
    sender.upload.onprogress = (event) => onSent(event.loaded);
    const abort = (): void => sender.abort();
    signal.addEventListener("abort", abort);
    sender.onloadend = () => {
      signal.removeEventListener("abort", abort);
      if (sender.status >= 200 && sender.status < 300) {
        isConnected.set(true);
        onSent(bytes.size);
        resolve();
        return;
      }
      onSent(0);
      if (signal.aborted) reject(signal.reason as Error);
      else if (sender.status === 0) {
        isConnected.set(isForeign(url));
        reject(new ConnectionLost());
      } else reject(problemOf(sender.status, sender.responseText));
    };
    sender.send(bytes);
  });
}

async function abandon(upload: Upload): Promise<void> {
  try {
    await request(upload.links.self, { method: "DELETE" });
  } catch (error) {
    if (!(error instanceof ApiProblem || error instanceof ConnectionLost)) throw error; // else the server removes it
  }
}

function isForeign(url: string): boolean {
  return new URL(url, location.href).origin !== location.origin;
}

function isPlainType(type: string): boolean {
  return /^[\w.+-]{1,60}\/[\w.+-]{1,60}$/.test(type);
}
