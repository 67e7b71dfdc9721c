import { isConnected } from "../state/connection";
import { ConnectionLost, problemOf } from "./client";
import { keyHeader } from "./key";
import type { Job } from "./types";

/** Silence for longer than this means a dead connection: the server says something every 15 seconds. */
const SILENCE_MS = 40_000;

/**
 * Follows a job's server-sent events until it ends; returns at its end.
 *
 * With `fetch`, because `EventSource` cannot send an API key. ConnectionLost when the stream breaks off: call again with
 * the id that `onJob` was last given.
 */
export async function followJob(
  job: Pick<Job, "links">,
  lastId: string,
  onJob: (job: Job, id: string) => void,
  signal: AbortSignal,
): Promise<void> {
  const silence = new AbortController();
  let timer = setTimeout(() => silence.abort(), SILENCE_MS);
  try {
    const response = await fetch(job.links.events, {
      headers: { ...keyHeader(), Accept: "text/event-stream", ...(lastId === "" ? {} : { "Last-Event-ID": lastId }) },
      signal: AbortSignal.any([signal, silence.signal]),
    });
    if (response.status === 204) return;
    if (!response.ok || response.body === null) throw problemOf(response.status, await response.text());
    isConnected.set(true);
    let text = "";
    for await (const chunk of response.body.pipeThrough(new TextDecoderStream())) {
      clearTimeout(timer);
      timer = setTimeout(() => silence.abort(), SILENCE_MS);
      const events = (text + chunk).split("\n\n");
      text = events.pop() ?? "";
      for (const event of events.map(parseEvent)) {
        if (event.data === "") continue;
        onJob(JSON.parse(event.data) as Job, event.id);
        if (event.name === "end") return;
      }
    }
  } catch (error) {
    if (signal.aborted || !(error instanceof TypeError || silence.signal.aborted)) throw error;
  } finally {
    clearTimeout(timer);
  }
  throw new ConnectionLost();
}

interface ServerEvent {
  name: string;
  id: string;
  data: string;
}

function parseEvent(block: string): ServerEvent {
  const event: ServerEvent = { name: "", id: "", data: "" };
  for (const line of block.split("\n")) {
    const colon = line.indexOf(": ");
    const [field, value] = [line.slice(0, colon), line.slice(colon + 2)];
    if (field === "event") event.name = value;
    else if (field === "id") event.id = value;
    else if (field === "data") event.data += value;
  }
  return event;
}
