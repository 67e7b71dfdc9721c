/** A stretch of the recording, in frames. */
export interface Region {
  start: number;
  stop: number;
}

/** A piece of the recording that sounds from `time` on, in seconds of the audio clock. */
export interface Piece extends Region {
  time: number;
}

/**
 * The next piece to be played from frame `cursor`: at most `maxFrames`, up to the loop's or the recording's end. Null at
 * the end of a recording that is not looped. A cursor beyond the loop plays on to the end.
 */
export function nextPiece(cursor: number, frames: number, loop: Region | null, maxFrames: number): Region | null {
  if (loop !== null && cursor === loop.stop) return nextPiece(loop.start, frames, loop, maxFrames);
  const end = loop !== null && cursor < loop.stop ? loop.stop : frames;
  return cursor >= end ? null : { start: cursor, stop: Math.min(cursor + maxFrames, end) };
}

/** The pieces that sound at `time` or later. */
export function fromNow(pieces: readonly Piece[], time: number): Piece[] {
  const current = pieces.findLastIndex((piece) => piece.time <= time);
  return pieces.slice(Math.max(current, 0));
}

/** The frame that sounds at `time`, by what has been scheduled; null when nothing has. */
export function frameAt(time: number, pieces: readonly Piece[], sampleRate: number): number | null {
  const current = pieces.findLast((piece) => piece.time <= time) ?? pieces[0];
  if (current === undefined) return null;
  const frame = current.start + Math.max(0, Math.round((time - current.time) * sampleRate));
  return Math.min(frame, current.stop);
}
