import { ApiProblem, request } from "../api/client";

/** A file of which parts can be read. */
export interface ByteSource {
  /** The bytes from `start` up to, without, `stop`; fewer at the file's end. */
  read(start: number, stop: number, signal: AbortSignal): Promise<ArrayBuffer>;
}

/** A file of this server, read by Range requests. */
export function remoteBytes(href: string): ByteSource {
  return {
    async read(start, stop, signal) {
      const headers = { Range: `bytes=${start}-${stop - 1}` };
      const response = await request(`${href}?redirect=false`, { headers, signal });
      if (response.status !== 206) {
        throw new ApiProblem(response.status, {
          code: "range_ignored",
          title: "The recording cannot be played in parts",
          detail: "The server, or a proxy before it, ignores the header Range.",
        });
      }
      return response.arrayBuffer();
    },
  };
}
