import { describeProblem } from "../api/client";
import { postOnce } from "../api/post-once";
import type { Batch, Job, JobSubmission, Problem } from "../api/types";
import { refresh, takeJob } from "../jobs/feed";
import { newId } from "../state/ids";
import { createStore } from "../state/store";
import { isEarlier, type Recording } from "./recording";
import type { Wanted } from "./settings";
import { uploadFile } from "./upload";

const PARALLEL_FILES = 2;

/** A recording on its way to the server: it becomes a job, or says why not. */
export interface Submission {
  id: string;
  name: string;
  bytes: number;
  sentBytes: number;
  state: "waiting" | "uploading" | "checking" | "refused";
  problem: Problem | null;
}

/** Where the server finds a recording. */
type Place = JobSubmission["input"];

interface Order {
  recording: Recording;
  wanted: Wanted;
  controller: AbortController;
  group: Group | null;
  onJob: (job: Job) => void;
}

/** The recordings of one batch: it is submitted when the last of them has arrived. */
interface Group {
  pending: Set<string>; // ids of submissions
  places: Map<string, Place | null>; // by submission, in the order in which the recordings were chosen
  wanted: Wanted;
  onBatch: (batch: Batch) => void;
}

export const submissions = createStore<readonly Submission[]>([]);

const orders = new Map<string, Order>();
let running = 0;

/** Sends each recording as a job of its own. `onJob` hears of each as it is accepted. */
export function submitJobs(recordings: readonly Recording[], wanted: Wanted, onJob: (job: Job) => void): void {
  add(recordings, (recording) => ({ recording, wanted, controller: new AbortController(), group: null, onJob }));
}

/** Sends the recordings as one batch. */
export function submitBatch(recordings: readonly Recording[], wanted: Wanted, onBatch: (batch: Batch) => void): void {
  const group: Group = { pending: new Set(), places: new Map(), wanted, onBatch };
  add(recordings, (recording) => ({
    recording,
    wanted,
    controller: new AbortController(),
    group,
    onJob: () => undefined,
  }));
}

/** Stops an upload, or forgets one that was refused. */
export function dismiss(id: string): void {
  const order = orders.get(id);
  order?.controller.abort();
  forget(id);
  if (order?.group) {
    leaveBehind(id, order, order.group);
  }
}

/** Sends a refused recording again. */
export function resubmit(id: string): void {
  const order = orders.get(id);
  if (order === undefined) return;
  order.controller = new AbortController();
  update(id, { state: "waiting", problem: null, sentBytes: 0 });
  startNext();
}

function add(recordings: readonly Recording[], orderOf: (recording: Recording) => Order): void {
  const added = recordings.map((recording): Submission => {
    const order = orderOf(recording);
    const id = newId();
    orders.set(id, order);
    order.group?.pending.add(id);
    order.group?.places.set(id, null);
    return { id, name: recording.name, bytes: recording.size, sentBytes: 0, state: "waiting", problem: null };
  });
  submissions.set((now) => [...now, ...added]);
  startNext();
}

function startNext(): void {
  while (running < PARALLEL_FILES) {
    const next = submissions.get().find((one) => one.state === "waiting");
    const order = next && orders.get(next.id);
    if (next === undefined || order === undefined) return;
    running += 1;
    update(next.id, { state: "uploading" });
    void send(next.id, order).finally(() => {
      running -= 1;
      startNext();
    });
  }
}

async function send(id: string, order: Order): Promise<void> {
  const { signal } = order.controller;
  try {
    const input = await placeOf(id, order);
    if (order.group !== null) {
      order.group.places.set(id, input);
      await settle(id, order.group);
    } else {
      update(id, { state: "checking" });
      const job = await postOnce<Job>("/jobs", { ...order.wanted, input }, signal);
      takeJob(job);
      order.onJob(job);
    }
    forget(id);
  } catch (error) {
    if (signal.aborted) return;
    refuse(id, order, error);
    if (order.group?.places.get(id) === null) leaveBehind(id, order, order.group);
  }
}

/** Lets a batch go without a recording that was refused. Sent again, that becomes a job of its own. */
function leaveBehind(id: string, order: Order, group: Group): void {
  order.group = null;
  group.places.delete(id);
  settle(id, group).catch((error: unknown) => refuse(id, order, error));
}

/** Where the recording is, once it is there. */
async function placeOf(id: string, { recording, controller }: Order): Promise<Place> {
  if (isEarlier(recording)) return { job_id: recording.jobId };
  const onSent = (sentBytes: number): void => update(id, { sentBytes });
  const upload = await uploadFile(recording, { signal: controller.signal, onSent });
  return { upload_id: upload.id };
}

/** Notes that a recording of `group` has arrived or been left out, and submits the batch after the last. */
async function settle(id: string, group: Group): Promise<void> {
  if (group.pending.size === 1 && group.pending.has(id) && group.places.size > 0) {
    update(id, { state: "checking" });
    const items = [...group.places.values()].map((input) => ({ input }));
    const batch = await postOnce<Batch>("/batches", { ...group.wanted, items });
    refresh();
    group.onBatch(batch);
  }
  group.pending.delete(id);
}

/** Shows why a submission was refused, also one that was no longer shown. */
function refuse(id: string, order: Order, error: unknown): void {
  const { name, size } = order.recording;
  orders.set(id, order);
  const refused: Submission = { id, name, bytes: size, sentBytes: 0, state: "refused", problem: describeProblem(error) };
  submissions.set((now) => [...now.filter((one) => one.id !== id), refused]);
}

function update(id: string, change: Partial<Submission>): void {
  submissions.set((now) => now.map((one) => (one.id === id ? { ...one, ...change } : one)));
}

function forget(id: string): void {
  orders.delete(id);
  submissions.set((now) => now.filter((one) => one.id !== id));
}
