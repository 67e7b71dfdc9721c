import { expect, test } from "vitest";

import { ticksOf } from "../src/listen/ticks";

test("times are round and within the recording", () => {
  expect(ticksOf(18.4)).toEqual([5, 10, 15]);
  expect(ticksOf(1.25)).toEqual([0.2, 0.4, 0.6, 0.8, 1]);
  expect(ticksOf(7200)).toEqual([1800, 3600, 5400]);
});

test("never more than fit on a phone", () => {
  for (const duration_s of [0.5, 3, 59, 61, 600, 5000, 86_400]) {
    const ticks = ticksOf(duration_s);
    expect(ticks.length).toBeGreaterThan(1);
    expect(ticks.length).toBeLessThanOrEqual(7);
  }
});

test("next to nothing has none", () => {
  expect(ticksOf(0.05)).toEqual([]);
});
