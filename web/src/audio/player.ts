import { ConnectionLost, describeProblem } from "../api/client";
import type { Problem } from "../api/types";
import { createStore, type Store } from "../state/store";
import { frameAt, fromNow, nextPiece, type Piece, type Region } from "./schedule";
import type { Track } from "./track";

const FIRST_PIECE_S = 0.5; // so that playing begins at once
const PIECE_S = 2;
const LOOKAHEAD_S = 6;
const KEPT_S = 1; // what is heard lags behind the clock, by the delay of the sound device
const START_DELAY_S = 0.06; // to hand the first piece over in time
const SWITCH_S = 0.012; // a cross-fade: the signals are alike, so equal gain keeps the level
const RETRY_MS = 1000;
const SLOW_START_MS = 250; // not worth a word before

/** One of the signals that can be listened to. */
export interface Voice {
  id: string;
  track: Track;
  gain_db: number;
}

export interface PlayerState {
  isPlaying: boolean;
  isBuffering: boolean;
  selected: string; // a voice's id
  loop: Region | null; // in frames
  problem: Problem | null; // why it cannot go on
}

/**
 * Plays one of several signals of equal length, and changes between them without a gap at the same sample.
 *
 * All of them run on one audio clock; the selected one is heard. They are read in short pieces ahead of time. Where the
 * network is too slow or away, the clock stands still until it is back.
 */
export class Player {
  readonly state: Store<PlayerState>;
  readonly sampleRate: number;
  readonly frames: number;
  private readonly voices: readonly Voice[];
  private readonly gains = new Map<string, number>();
  private volume = 1;
  private context: AudioContext | null = null;
  private output: GainNode | null = null;
  private readonly faders = new Map<string, GainNode>();
  private readonly sounding = new Set<AudioBufferSourceNode>();
  private pieces: Piece[] = [];
  private cursor = 0; // the next frame to be scheduled
  private pump: AbortController | null = null;

  constructor(voices: readonly [Voice, ...Voice[]], selected: string) {
    this.voices = voices;
    this.sampleRate = voices[0].track.sampleRate;
    this.frames = Math.max(...voices.map((voice) => voice.track.frames));
    for (const voice of voices) this.gains.set(voice.id, voice.gain_db);
    this.state = createStore<PlayerState>({ isPlaying: false, isBuffering: false, selected, loop: null, problem: null });
  }

  get duration_s(): number {
    return this.frames / this.sampleRate;
  }

  hasVoice(id: string): boolean {
    return this.gains.has(id);
  }

  /** Where the recording sounds now, in seconds. */
  get position_s(): number {
    const time = this.context === null ? 0 : this.context.currentTime - (this.context.outputLatency || 0);
    return (frameAt(time, this.pieces, this.sampleRate) ?? this.cursor) / this.sampleRate;
  }

  play(): void {
    if (this.state.get().isPlaying) return;
    if (this.cursor >= this.frames && this.pump === null) this.cursor = this.state.get().loop?.start ?? 0;
    this.change({ isPlaying: true, problem: null });
    this.open();
    void this.context?.resume(); // now: browsers ask for the person's own action
    if (this.pump === null) this.start();
  }

  pause(): void {
    this.change({ isPlaying: false, isBuffering: false });
    void this.context?.suspend();
  }

  toggle(): void {
    if (this.state.get().isPlaying) this.pause();
    else this.play();
  }

  seek(time_s: number): void {
    this.stop();
    this.cursor = Math.round(Math.min(Math.max(time_s, 0), this.duration_s) * this.sampleRate);
    if (this.state.get().isPlaying) this.start();
  }

  /** Hear another signal from this very moment on. */
  select(id: string): void {
    this.change({ selected: id });
    this.fade();
  }

  setLoop(loop: Region | null): void {
    const position_s = this.position_s;
    this.change({ loop });
    const position = Math.round(position_s * this.sampleRate);
    const isOutside = loop !== null && (position < loop.start || position >= loop.stop);
    // What was scheduled knows nothing of the new loop.
    this.seek(isOutside ? loop.start / this.sampleRate : position_s);
  }

  setGain(id: string, gain_db: number): void {
    this.gains.set(id, gain_db);
    this.fade();
  }

  setVolume(volume: number): void {
    this.volume = volume;
    if (this.context && this.output) this.output.gain.setTargetAtTime(volume, this.context.currentTime, SWITCH_S);
  }

  /** Stops for good and gives the sound device back. */
  close(): void {
    this.stop();
    void this.context?.close();
    this.context = null;
    this.change({ isPlaying: false, isBuffering: false });
  }

  private change(change: Partial<PlayerState>): void {
    this.state.set((now) => ({ ...now, ...change }));
  }

  /** The audio graph. Browsers allow sound only after the person has done something, so it is made by the first play. */
  private open(): void {
    if (this.context !== null) return;
    // At the recording's own rate the pieces join sample by sample, without a resampler at each seam.
    this.context = new AudioContext({ sampleRate: this.sampleRate, latencyHint: "interactive" });
    this.output = new GainNode(this.context, { gain: this.volume });
    this.output.connect(this.context.destination);
    for (const { id } of this.voices) {
      const fader = new GainNode(this.context, { gain: this.levelOf(id) });
      fader.connect(this.output);
      this.faders.set(id, fader);
    }
  }

  private levelOf(id: string): number {
    return id === this.state.get().selected ? 10 ** ((this.gains.get(id) ?? 0) / 20) : 0;
  }

  private fade(): void {
    if (this.context === null) return;
    const now = this.context.currentTime;
    for (const [id, fader] of this.faders) {
      fader.gain.cancelScheduledValues(now);
      fader.gain.setValueAtTime(fader.gain.value, now);
      fader.gain.linearRampToValueAtTime(this.levelOf(id), now + SWITCH_S);
    }
  }

  private stop(): void {
    this.cursor = Math.round(this.position_s * this.sampleRate);
    this.pump?.abort();
    this.pump = null;
    for (const node of this.sounding) {
      node.onended = null;
      node.stop();
      node.disconnect();
    }
    this.sounding.clear();
    this.pieces = [];
  }

  private start(): void {
    if (this.context === null) return;
    this.pump = new AbortController();
    void this.run(this.context, this.pump.signal);
  }

  /** Reads and schedules piece after piece until the end, or until `signal` aborts. */
  private async run(context: AudioContext, signal: AbortSignal): Promise<void> {
    let time = 0;
    let pieceFrames = Math.round(FIRST_PIECE_S * this.sampleRate);
    for (;;) {
      const piece = nextPiece(this.cursor, this.frames, this.state.get().loop, pieceFrames);
      if (piece === null) break;
      const slack_ms = time === 0 ? SLOW_START_MS : Math.max(0, (time - context.currentTime - 0.03) * 1000);
      const hold = setTimeout(() => this.hold(context), slack_ms);
      const sounds = await this.readPiece(piece, signal);
      clearTimeout(hold);
      if (sounds === null) return;
      if (time === 0) time = this.onGrid(context.currentTime + START_DELAY_S);
      for (const [id, sound] of sounds) this.sound(context, id, sound, time);
      this.pieces = [...fromNow(this.pieces, context.currentTime - KEPT_S), { ...piece, time }];
      this.cursor = piece.stop;
      time += (piece.stop - piece.start) / this.sampleRate;
      pieceFrames = Math.round(PIECE_S * this.sampleRate);
      this.release(context);
      if (!(await this.until(context, time - LOOKAHEAD_S, signal))) return;
    }
    if (await this.until(context, time, signal)) this.finish();
  }

  private finish(): void {
    this.stop();
    this.cursor = 0;
    this.pause();
  }

  /** Every voice's piece; null when `signal` aborts. Tried again while the network is away. */
  private async readPiece(piece: Region, signal: AbortSignal): Promise<[string, AudioBuffer][] | null> {
    while (isLive(signal)) {
      try {
        const sounds = await Promise.all(
          this.voices.map(async ({ id, track }): Promise<[string, AudioBuffer]> => {
            const channels = await track.read(piece.start, piece.stop, signal);
            const length = piece.stop - piece.start;
            const sound = new AudioBuffer({ length, sampleRate: this.sampleRate, numberOfChannels: channels.length });
            channels.forEach((samples, channel) => sound.copyToChannel(samples, channel));
            return [id, sound];
          }),
        );
        if (isLive(signal)) return sounds;
      } catch (error) {
        if (!isLive(signal)) return null;
        if (!(error instanceof ConnectionLost)) {
          this.stop();
          this.pause();
          this.change({ problem: describeProblem(error) });
          return null;
        }
        await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
      }
    }
    return null;
  }

  private sound(context: AudioContext, id: string, buffer: AudioBuffer, time: number): void {
    const node = new AudioBufferSourceNode(context, { buffer });
    const fader = this.faders.get(id);
    if (fader) node.connect(fader);
    node.onended = () => {
      this.sounding.delete(node);
      node.disconnect();
    };
    node.start(time);
    this.sounding.add(node);
  }

  /** Stops the clock: the next piece is not there in time. */
  private hold(context: AudioContext): void {
    this.change({ isBuffering: this.state.get().isPlaying });
    if (this.pieces.length > 0) void context.suspend();
  }

  /** Lets the clock go on. `context.state` is not asked: it lags behind what was last asked for. */
  private release(context: AudioContext): void {
    if (this.state.get().isPlaying) void context.resume();
    if (this.state.get().isBuffering) this.change({ isBuffering: false });
  }

  private onGrid(time: number): number {
    return Math.ceil(time * this.sampleRate) / this.sampleRate;
  }

  /** Waits until the audio clock, which stands still while paused, shows `time`; false when `signal` aborts. */
  private async until(context: AudioContext, time: number, signal: AbortSignal): Promise<boolean> {
    while (isLive(signal) && context.currentTime < time) {
      const left_s = context.state === "running" ? time - context.currentTime : 0.2;
      await new Promise((resolve) => setTimeout(resolve, Math.max(10, Math.min(left_s, 0.5) * 1000)));
    }
    return isLive(signal);
  }
}

/** False once `signal` has aborted, which may happen during any `await`. */
function isLive(signal: AbortSignal): boolean {
  return !signal.aborted;
}
