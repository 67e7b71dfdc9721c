import { expect, it } from "vitest";

import type { Job, Output } from "../src/api/types";
import { audioFiles, matchingGains, subjectsOf } from "../src/listen/subjects";

function output(name: string, role: string): Output {
  return { name, role, media_type: "audio/wav", bytes: 1, sha256: "", href: `/${name}` };
}

function jobWith(outputs: Output[], report: object): Job {
  return { outputs, report } as unknown as Job;
}

const job = jobWith(
  [
    output("a.b.enhanced.flac", "enhanced"),
    output("a.b.residual.flac", "residual"),
    output("a.b.enhanced.listening.wav", "listening"),
    output("a.b.before.peaks.json", "peaks"),
    output("a.b.enhanced.peaks.json", "peaks"),
    output("a.b.residual.spectrogram.png", "spectrogram"),
  ],
  {
    input: { loudness_lufs: -20 },
    outputs: { enhanced: { loudness_lufs: -23.5 }, residual: { loudness_lufs: -40 } },
  },
);

it("finds the views of each signal, whatever the recording is called", () => {
  const [before, after, removed] = subjectsOf(job);

  expect([before?.label, after?.label, removed?.label]).toEqual(["Before", "After", "Removed"]);
  expect(before?.peaks?.name).toBe("a.b.before.peaks.json");
  expect(after?.listening?.name).toBe("a.b.enhanced.listening.wav");
  expect(removed?.spectrogram?.name).toBe("a.b.residual.spectrogram.png");
});

it("offers results for download, and nothing that only shows them", () => {
  expect(audioFiles(job).map((file) => file.name)).toEqual(["a.b.enhanced.flac", "a.b.residual.flac"]);
});

it("calls stems by their names", () => {
  const stems = jobWith([output("s.vocals.wav", "vocals"), output("s.drums.wav", "drums")], {});

  expect(subjectsOf(stems).map((subject) => subject.label)).toEqual(["Before", "Vocals", "Drums"]);
});

it("turns the louder one down, and what was removed like the recording", () => {
  expect([...matchingGains(subjectsOf(job))]).toEqual([
    ["before", -3.5],
    ["enhanced", 0],
    ["residual", -3.5],
  ]);
});

it("leaves a silent signal as it is", () => {
  const silent = jobWith([output("a.enhanced.wav", "enhanced")], { input: { loudness_lufs: -20 }, outputs: {} });

  expect(matchingGains(subjectsOf(silent)).get("enhanced")).toBe(0);
  expect(matchingGains(subjectsOf(silent)).get("before")).toBe(0);
});
