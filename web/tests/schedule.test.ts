import { describe, expect, it } from "vitest";

import { frameAt, fromNow, nextPiece, type Piece, type Region } from "../src/audio/schedule";

/** The pieces in their order until the recording or the patience ends. */
function piecesFrom(cursor: number, frames: number, loop: Region | null, maxFrames: number, count: number): Region[] {
  const pieces: Region[] = [];
  for (let at = cursor; pieces.length < count; at = pieces.at(-1)?.stop ?? at) {
    const piece = nextPiece(at, frames, loop, maxFrames);
    if (piece === null) break;
    pieces.push(piece);
  }
  return pieces;
}

describe("the pieces of a recording", () => {
  it("cover it once, without a gap", () => {
    expect(piecesFrom(0, 10, null, 4, 9)).toEqual([
      { start: 0, stop: 4 },
      { start: 4, stop: 8 },
      { start: 8, stop: 10 },
    ]);
  });

  it("go round in a loop, from where the person was", () => {
    expect(piecesFrom(3, 10, { start: 2, stop: 5 }, 4, 4)).toEqual([
      { start: 3, stop: 5 },
      { start: 2, stop: 5 },
      { start: 2, stop: 5 },
      { start: 2, stop: 5 },
    ]);
  });

  it("go on to the end from beyond the loop", () => {
    expect(piecesFrom(6, 10, { start: 2, stop: 5 }, 4, 4)).toEqual([{ start: 6, stop: 10 }]);
  });

  it("loop over the very end", () => {
    expect(piecesFrom(8, 10, { start: 6, stop: 10 }, 9, 2)).toEqual([
      { start: 8, stop: 10 },
      { start: 6, stop: 10 },
    ]);
  });

  it("are none of an empty recording", () => {
    expect(nextPiece(0, 0, null, 4)).toBeNull();
  });
});

describe("the position", () => {
  const pieces: Piece[] = [
    { time: 1, start: 100, stop: 200 },
    { time: 2, start: 40, stop: 90 },
  ];

  it("follows the clock through each piece", () => {
    expect([0.5, 1, 1.5, 2, 2.25].map((time) => frameAt(time, pieces, 100))).toEqual([100, 100, 150, 40, 65]);
  });

  it("is known however many pieces of a short loop have been scheduled ahead", () => {
    const rounds = Array.from({ length: 50 }, (_, round) => ({ time: round, start: 0, stop: 100 }));

    expect(frameAt(20.5, fromNow(rounds, 19.5), 100)).toBe(50);
    expect(fromNow(rounds, 19.5)).toHaveLength(31);
  });

  it("stays at the end of what has been scheduled", () => {
    expect(frameAt(9, pieces, 100)).toBe(90);
  });

  it("is unknown while nothing is scheduled", () => {
    expect(frameAt(1, [], 100)).toBeNull();
  });
});
