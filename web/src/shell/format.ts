const MINUTE_S = 60;
const HOUR_S = 3600;

/** "3:07", "1:02:45"; with tenths, "3:07.4". */
export function clock(time_s: number, { tenths = false }: { tenths?: boolean } = {}): string {
  const whole = tenths ? Math.floor(time_s * 10 + 1e-6) / 10 : Math.round(time_s);
  const hours = Math.floor(whole / HOUR_S);
  const minutes = Math.floor((whole % HOUR_S) / MINUTE_S);
  const seconds = (whole % MINUTE_S).toFixed(tenths ? 1 : 0).padStart(tenths ? 4 : 2, "0");
  return hours > 0 ? `${hours}:${String(minutes).padStart(2, "0")}:${seconds}` : `${minutes}:${seconds}`;
}

/** A length of time in words: "under 1 s", "4 s", "12 min", "1 h 5 min". */
export function duration(time_s: number): string {
  if (time_s < 1) return "under 1 s";
  if (time_s < 90) return `${Math.round(time_s)} s`;
  if (time_s < 90 * MINUTE_S) return `${Math.round(time_s / MINUTE_S)} min`;
  const minutes = Math.round(time_s / MINUTE_S);
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/** An estimate in words: "about 4 s". */
export function estimate(time_s: number): string {
  return time_s < 1 ? duration(time_s) : `about ${duration(time_s)}`;
}

/** A date and time of day, as the person's language writes them. */
export function moment(time: string): string {
  return new Date(time).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });
}

/** "912 kB", "1.4 GB": decimal units, as file managers show them. */
export function fileSize(bytes: number): string {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let value = bytes;
  let unit = 0;
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${unit === 0 || value >= 99.5 ? Math.round(value) : value.toPrecision(2)} ${units[unit] ?? ""}`;
}

/** A number with its sign: "+3.2", "−12.0", "0.0". */
export function signed(value: number, digits = 1): string {
  const text = Math.abs(value).toFixed(digits);
  if (Number(text) === 0) return text;
  return `${value < 0 ? "−" : "+"}${text}`;
}

/** A number with a real minus sign. */
export function decimal(value: number, digits = 1): string {
  const text = Math.abs(value).toFixed(digits);
  return value < 0 && Number(text) !== 0 ? `−${text}` : text;
}

export function sampleRate(rate_hz: number): string {
  return `${Number((rate_hz / 1000).toFixed(3))} kHz`;
}

export function channelCount(channels: number): string {
  return channels === 1 ? "mono" : channels === 2 ? "stereo" : `${channels} channels`;
}
