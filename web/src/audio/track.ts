/** A recording that can be played from anywhere. */
export interface Track {
  readonly sampleRate: number; // Hz
  readonly channels: number;
  readonly frames: number;
  /** The channels from frame `start` up to, without, `stop`; silence beyond the end. */
  read(start: number, stop: number, signal: AbortSignal): Promise<Float32Array<ArrayBuffer>[]>;
}

/** The browser cannot play this file. */
export class UnplayableSound extends Error {}
