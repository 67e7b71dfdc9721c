import type { Job } from "../api/types";
import { speedText } from "../jobs/status";
import { duration, fileSize, moment, sampleRate } from "../shell/format";

interface ReportFacts {
  model?: { name: string; licence: string; weights_sha256: string; sample_rate: number } | null;
  bandwidth?: { engine_hz: number | null; above: string | null };
  stage_s?: Record<string, number>;
  peak_memory_bytes?: number;
  rtf?: number;
}

interface Options {
  strength?: number;
  shifts?: number;
  overlap?: number;
  seed?: number;
  chain?: { step: string; enabled?: boolean }[];
}

/** The job in plain words: name and value, in the order of the work. */
export function doneOf(job: Job): [name: string, value: string][] {
  const report = (job.report ?? {}) as ReportFacts;
  const options = job.options as Options;
  const facts: [string, string | null][] = [
    ["Preset", `${job.preset}, version ${job.preset_version}`],
    ["Model", report.model ? `${report.model.name}, ${sampleRate(report.model.sample_rate)}` : "none"],
    ["Licence of the weights", report.model?.licence ?? null],
    ["Weights", report.model ? `SHA-256 ${report.model.weights_sha256.slice(0, 16)}…` : null],
    ["Strength", options.strength === undefined ? null : `${Math.round(100 * options.strength)} %`],
    ["Above the model's band", aboveText(report)],
    ["Then", chainText(options)],
    ["Took", timeText(report)],
    ["Memory", report.peak_memory_bytes === undefined ? null : fileSize(report.peak_memory_bytes)],
    ["Kept until", job.expires_at === null ? null : moment(job.expires_at)],
    ["Job", job.id],
  ];
  return facts.filter((fact): fact is [string, string] => fact[1] !== null);
}

function aboveText({ bandwidth }: ReportFacts): string | null {
  if (bandwidth?.above == null || bandwidth.engine_hz === null) return null;
  const what = bandwidth.above === "carried" ? "carried over, turned down with the noise" : "left empty";
  return `beyond ${sampleRate(bandwidth.engine_hz)} ${what}`;
}

function chainText({ chain = [] }: Options): string | null {
  const steps = chain.filter((step) => step.enabled !== false).map((step) => step.step.replaceAll("_", " "));
  return steps.length === 0 ? null : steps.join(", ");
}

function timeText({ stage_s, rtf }: ReportFacts): string | null {
  if (stage_s === undefined) return null;
  const total_s = Object.values(stage_s).reduce((sum, one) => sum + one, 0);
  return `${duration(total_s)}${rtf === undefined || rtf <= 0 ? "" : `, ${speedText(rtf)}`}`;
}
