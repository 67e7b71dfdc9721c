import type { ReactElement } from "react";

import { labelOf, RESIDUAL } from "../listen/subjects";
import { decimal, signed } from "../shell/format";

type Figures = Readonly<Record<string, unknown>>;

interface Row {
  field: string;
  label: string;
  unit: string;
  digits?: number;
  format?: (value: number) => string;
}

const LOUDNESS: Row = { field: "loudness_lufs", label: "Loudness", unit: "LUFS" };

const ROWS: readonly Row[] = [
  { field: "snr_db", label: "Signal to noise, estimated", unit: "dB" },
  { field: "noise_floor_dbfs", label: "Noise floor", unit: "dBFS" },
  LOUDNESS,
  { field: "loudness_range_lu", label: "Loudness range", unit: "LU" },
  { field: "true_peak_dbtp", label: "True peak", unit: "dBTP" },
  { field: "bandwidth_hz", label: "Bandwidth", unit: "kHz", format: (hertz) => decimal(hertz / 1000) },
  { field: "clipped_samples", label: "Clipped samples", unit: "", digits: 0 },
];

const COMPARED: readonly Row[] = [
  { field: "si_sdr_db", label: "SI-SDR", unit: "dB" },
  { field: "pesq_wb", label: "PESQ", unit: "", digits: 2 },
  { field: "stoi", label: "STOI", unit: "", digits: 3 },
];

const QUALITY: readonly Row[] = [
  { field: "sig", label: "DNSMOS speech", unit: "", digits: 2 },
  { field: "bak", label: "DNSMOS background", unit: "", digits: 2 },
  { field: "ovrl", label: "DNSMOS overall", unit: "", digits: 2 },
];

/** The figures of the recording beside those of the results. Rows that nothing is known of are left out. */
export function FigureTable({ report }: { report: Figures }): ReactElement {
  const before = figuresIn(report, "input");
  const outputs = Object.entries(figuresIn(report, "outputs")).filter(([role]) => role !== RESIDUAL);
  const reference = figuresIn(report, "reference");
  const [first] = outputs;
  const columns = outputs.map(([role, figures]) => [labelOf(role, outputs.length), asFigures(figures)] as const);
  const hasChange = outputs.length === 1 && first !== undefined;
  const rows: readonly (readonly [Row, Figures, readonly Figures[]])[] = [
    ...ROWS.map((row) => [row, before, columns.map(([, figures]) => figures)] as const),
    ...QUALITY.map((row) => [row, figuresIn(before, "dnsmos"), columns.map(([, one]) => figuresIn(one, "dnsmos"))] as const),
    ...COMPARED.map((row) => [row, figuresIn(reference, "before"), [figuresIn(reference, "after")]] as const),
  ];
  return (
    <section
      aria-labelledby="figures-heading"
      className="card overflow-x-auto p-4"
      tabIndex={columns.length > 1 ? 0 : undefined} // many columns are scrolled on a phone, by keyboard too
    >
      <h2 id="figures-heading" className="heading mb-3">
        Measured
      </h2>
      <table className="w-full text-sm">
        <thead className="text-left text-muted">
          <tr>
            <th scope="col" className="pr-3 pb-2 font-medium">
              Figure
            </th>
            {["Before", ...columns.map(([label]) => label), ...(hasChange ? ["Change"] : [])].map((label) => (
              <th key={label} scope="col" className="pb-2 pl-3 text-right font-medium">
                {label}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows
            .filter(([row, own, others]) => [own, ...others].some((figures) => valueOf(figures, row) !== null))
            .map(([row, own, others]) => (
              <tr key={row.field} className="border-t border-line">
                <th scope="row" className="py-1.5 pr-3 text-left font-normal">
                  {row.label} {row.unit !== "" && <span className="text-muted">{row.unit}</span>}
                </th>
                {[own, ...others].map((figures, index) => (
                  <td key={index} className="py-1.5 pl-3 text-right whitespace-nowrap">
                    {textOf(valueOf(figures, row), row)}
                  </td>
                ))}
                {hasChange && (
                  <td className="py-1.5 pl-3 text-right font-semibold whitespace-nowrap">{changeOf(own, others[0], row)}</td>
                )}
              </tr>
            ))}
        </tbody>
      </table>
      {valueOf(before, LOUDNESS) === null && (
        <p className="mt-3 text-sm text-muted">The recording is too quiet or too short for the other figures.</p>
      )}
    </section>
  );
}

function figuresIn(figures: Figures, field: string): Figures {
  return asFigures(figures[field]);
}

function asFigures(value: unknown): Figures {
  return typeof value === "object" && value !== null ? (value as Figures) : {};
}

function valueOf(figures: Figures, { field }: Row): number | null {
  const value = figures[field];
  return typeof value === "number" ? value : null;
}

function textOf(value: number | null, { digits = 1, format }: Row): string {
  if (value === null) return "–";
  return format ? format(value) : decimal(value, digits);
}

function changeOf(before: Figures, after: Figures | undefined, row: Row): string {
  const [from, to] = [valueOf(before, row), after === undefined ? null : valueOf(after, row)];
  if (from === null || to === null || row.format) return "";
  return signed(to - from, row.digits ?? 1);
}
