import { expect, it } from "vitest";

import { clock, decimal, duration, estimate, fileSize, signed } from "../src/shell/format";

it.each([
  [0, "0:00"],
  [59.6, "1:00"],
  [187, "3:07"],
  [3765, "1:02:45"],
])("shows %d s as %s", (time_s, text) => {
  expect(clock(time_s)).toBe(text);
});

it("shows tenths that have passed, none before its time", () => {
  expect([0, 9.96, 59.99, 60.04].map((time_s) => clock(time_s, { tenths: true }))).toEqual([
    "0:00.0",
    "0:09.9",
    "0:59.9",
    "1:00.0",
  ]);
});

it.each([
  [0.4, "under 1 s", "under 1 s"],
  [44, "44 s", "about 44 s"],
  [240, "4 min", "about 4 min"],
  [6900, "1 h 55 min", "about 1 h 55 min"],
])("tells %d s in words", (time_s, exact, about) => {
  expect([duration(time_s), estimate(time_s)]).toEqual([exact, about]);
});

it("gives sizes two digits, and whole numbers from a hundred on", () => {
  expect([0, 999, 1000, 43_520, 912_331, 999_700, 1_400_000_000].map(fileSize)).toEqual([
    "0 B",
    "999 B",
    "1.0 kB",
    "44 kB",
    "912 kB",
    "1.0 MB",
    "1.4 GB",
  ]);
});

it("gives no sign to what rounds to nothing", () => {
  expect([signed(3.21), signed(-12), signed(-0.04), decimal(-0.04), decimal(-60.5)]).toEqual([
    "+3.2",
    "−12.0",
    "0.0",
    "0.0",
    "−60.5",
  ]);
});
