import { isConnected } from "../state/connection";
import { isKeyWanted, keyHeader } from "./key";
import type { Problem } from "./types";

export const API = "/api/v1";

/** The server's refusal, in its own words (RFC 9457). */
export class ApiProblem extends Error {
  readonly status: number;
  readonly problem: Problem;

  constructor(status: number, problem: Problem) {
    super(problem.detail);
    this.status = status;
    this.problem = problem;
  }
}

/** The server could not be reached, or went away in the middle. */
export class ConnectionLost extends Error {
  constructor() {
    super("The server cannot be reached.");
  }
}

interface Asked {
  method?: "GET" | "POST" | "DELETE";
  json?: unknown;
  headers?: Record<string, string>;
  signal?: AbortSignal | undefined;
}

/** The response to a request of this server; ApiProblem for a refusal, ConnectionLost without a response. */
export async function request(path: string, { method = "GET", json, headers, signal }: Asked = {}): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(path, {
      method,
      signal: signal ?? null,
      headers: { ...keyHeader(), ...(json === undefined ? {} : { "Content-Type": "application/json" }), ...headers },
      body: json === undefined ? null : JSON.stringify(json),
    });
  } catch (error) {
    if (signal?.aborted) throw error;
    isConnected.set(false);
    throw new ConnectionLost();
  }
  isConnected.set(true);
  if (response.ok || response.status === 304) return response;
  throw problemOf(response.status, await response.text());
}

/** The JSON of a response. The caller names the type that the OpenAPI document gives it. */
export async function requestJson<T>(path: string, asked?: Asked): Promise<T> {
  const response = await request(path, asked);
  return (await response.json()) as T;
}

/** The refusal in a response's body, in plain words also where a proxy on the way has answered. */
export function problemOf(status: number, body: string): ApiProblem {
  if (status === 401) isKeyWanted.set(true);
  return new ApiProblem(status, parseProblem(body) ?? unknownProblem(status));
}

/** What to tell the person about anything that went wrong. */
export function describeProblem(error: unknown): Problem {
  if (error instanceof ApiProblem) return error.problem;
  if (error instanceof ConnectionLost) {
    return { code: "connection_lost", title: "No connection", detail: "The server cannot be reached. Try again." };
  }
  const detail = error instanceof Error ? error.message : String(error);
  return { code: "unexpected", title: "Something unexpected went wrong", detail };
}

function parseProblem(body: string): Problem | undefined {
  try {
    const found = JSON.parse(body) as Partial<Problem>;
    if (found.code !== undefined && found.title !== undefined) {
      return { code: found.code, title: found.title, detail: found.detail ?? "" };
    }
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
  }
  return undefined;
}

function unknownProblem(status: number): Problem {
  return { code: `status_${status}`, title: `The server answered with status ${status}`, detail: "Try again later." };
}
