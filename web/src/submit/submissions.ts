import { API, ApiProblem, ConnectionLost, describeProblem, problemOf, requestJson } from "../api/client";
import { keyHeader } from "../api/key";
import type { Batch, Job, Problem } from "../api/types";
import { refresh, takeJob } from "../jobs/feed";
import { newId } from "../state/ids";
import { createStore } from "../state/store";
import { retryDelayMs, waitToRetry } from "../state/wait";
import type { Wanted } from "./settings";
import { UnreachableStore, uploadFile } from "./upload";

const PARALLEL_FILES = 2;
const MAX_TRIES = 30;

/** A recording on its way to the server: it becomes a job, or says why not. */
export interface Submission {
  id: string;
  name: string;
  bytes: number;
  sentBytes: number;
  state: "waiting" | "uploading" | "checking" | "refused";
  problem: Problem | null;
}

interface Order {
  file: File;
  wanted: Wanted;
  controller: AbortController;
  group: Group | null;
  onJob: (job: Job) => void;
}

/** The files of one batch: it is submitted when the last of them has arrived. */
interface Group {
  pending: Set<string>; // ids of submissions
  uploads: Map<string, string>; // upload by submission, in the order in which the files were chosen
  wanted: Wanted;
  onBatch: (batch: Batch) => void;
}

export const submissions = createStore<readonly Submission[]>([]);

const orders = new Map<string, Order>();
let running = 0;

/** Sends each file as a job of its own. `onJob` hears of each as it is accepted. */
export function submitFiles(files: readonly File[], wanted: Wanted, onJob: (job: Job) => void): void {
  add(files, (file) => ({ file, wanted, controller: new AbortController(), group: null, onJob }));
}

/** Sends the files as one batch. */
export function submitBatch(files: readonly File[], wanted: Wanted, onBatch: (batch: Batch) => void): void {
  const group: Group = { pending: new Set(), uploads: new Map(), wanted, onBatch };
  add(files, (file) => ({ file, wanted, controller: new AbortController(), group, onJob: () => undefined }));
}

/** Stops an upload, or forgets one that was refused. */
export function dismiss(id: string): void {
  const order = orders.get(id);
  order?.controller.abort();
  forget(id);
  if (order?.group) {
    const { group } = order;
    group.uploads.delete(id);
    settle(id, group).catch((error: unknown) => refuse(id, order, error));
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

function add(files: readonly File[], orderOf: (file: File) => Order): void {
  const added = files.map((file): Submission => {
    const order = orderOf(file);
    const id = newId();
    orders.set(id, order);
    order.group?.pending.add(id);
    order.group?.uploads.set(id, "");
    return { id, name: file.name, bytes: file.size, sentBytes: 0, state: "waiting", problem: null };
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
  const onSent = (sentBytes: number): void => update(id, { sentBytes });
  try {
    if (order.group !== null) {
      const upload = await uploadFile(order.file, { signal, onSent });
      order.group.uploads.set(id, upload.id);
      await settle(id, order.group);
    } else {
      const job = await submitOne(id, order, onSent);
      takeJob(job);
      order.onJob(job);
    }
    forget(id);
  } catch (error) {
    if (!signal.aborted) refuse(id, order, error);
  }
}

async function submitOne(id: string, order: Order, onSent: (bytes: number) => void): Promise<Job> {
  const { signal } = order.controller;
  try {
    const upload = await uploadFile(order.file, { signal, onSent });
    update(id, { state: "checking" });
    return await postOnce<Job>("/jobs", { ...order.wanted, input: { upload_id: upload.id } }, signal);
  } catch (error) {
    if (!(error instanceof UnreachableStore)) throw error;
    return submitForm(order, onSent);
  }
}

/** Notes that a file of `group` has arrived or been left out, and submits the batch after the last. */
async function settle(id: string, group: Group): Promise<void> {
  if (group.pending.size === 1 && group.pending.has(id) && group.uploads.size > 0) {
    update(id, { state: "checking" });
    const items = [...group.uploads.values()].map((upload_id) => ({ input: { upload_id } }));
    const batch = await postOnce<Batch>("/batches", { ...group.wanted, items }, new AbortController().signal);
    refresh();
    group.onBatch(batch);
  }
  group.pending.delete(id);
}

/** A submission that has its effect once, however often a lost connection makes us send it. */
async function postOnce<T>(path: string, json: unknown, signal: AbortSignal): Promise<T> {
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

/** The recording and its options as one form, through the API: for an object store that pages may not send to. */
function submitForm({ file, wanted, controller }: Order, onSent: (bytes: number) => void): Promise<Job> {
  const form = new FormData();
  form.set("options", JSON.stringify(wanted));
  form.set("file", file);
  return new Promise((resolve, reject) => {
    const sender = new XMLHttpRequest();
    sender.open("POST", `${API}/jobs`);
    sender.setRequestHeader("Idempotency-Key", newId());
    for (const [name, value] of Object.entries(keyHeader())) sender.setRequestHeader(name, value);
    sender.upload.onprogress = (event) => onSent(Math.min(event.loaded, file.size));
    const abort = (): void => sender.abort();
    controller.signal.addEventListener("abort", abort);
    sender.onloadend = () => {
      controller.signal.removeEventListener("abort", abort);
      if (sender.status >= 200 && sender.status < 300) resolve(JSON.parse(sender.responseText) as Job);
      else if (sender.status === 0) reject(new ConnectionLost());
      else reject(problemOf(sender.status, sender.responseText));
    };
    sender.send(form);
  });
}

/** Shows why a submission was refused, also one that was no longer shown. */
function refuse(id: string, order: Order, error: unknown): void {
  const { file } = order;
  orders.set(id, order);
  const refused: Submission = {
    id,
    name: file.name,
    bytes: file.size,
    sentBytes: 0,
    state: "refused",
    problem: describeProblem(error),
  };
  submissions.set((now) => [...now.filter((one) => one.id !== id), refused]);
}

function update(id: string, change: Partial<Submission>): void {
  submissions.set((now) => now.map((one) => (one.id === id ? { ...one, ...change } : one)));
}

function forget(id: string): void {
  orders.delete(id);
  submissions.set((now) => now.filter((one) => one.id !== id));
}
