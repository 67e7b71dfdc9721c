import type { ByteSource } from "./bytes";
import { UnplayableSound, type Track } from "./track";

const HEADER_BYTES = 64 * 1024; // one request finds the samples, unless a picture lies before them
const MAX_CHUNKS = 100;
const FORMAT_PCM = 1;
const FORMAT_FLOAT = 3;
const FORMAT_EXTENSIBLE = 0xfffe;
const UNKNOWN_SIZE = 0xffffffff; // RF64: the real one is in the chunk ds64

interface Layout {
  sampleRate: number;
  channels: number;
  bytesPerSample: number;
  decode: (view: DataView, offset: number) => number;
  dataStart: number;
  dataBytes: number;
}

/**
 * A WAV or RF64 file with 16, 24 or 32-bit integers or 32-bit floats, read piece by piece: neither its length nor the
 * memory of a phone limits it. UnplayableSound for any other file.
 */
export async function openWav(bytes: ByteSource, signal: AbortSignal): Promise<Track> {
  const layout = await readLayout(bytes, signal);
  const frameBytes = layout.bytesPerSample * layout.channels;
  const frames = Math.floor(layout.dataBytes / frameBytes);
  return {
    sampleRate: layout.sampleRate,
    channels: layout.channels,
    frames,
    async read(start, stop, readSignal) {
      const first = layout.dataStart + start * frameBytes;
      const last = layout.dataStart + Math.min(stop, frames) * frameBytes;
      const view = new DataView(last > first ? await bytes.read(first, last, readSignal) : new ArrayBuffer(0));
      return deinterleave(view, layout, stop - start);
    },
  };
}

/** The channels of interleaved samples; silence where there are fewer than `frames`. */
function deinterleave(view: DataView, layout: Layout, frames: number): Float32Array<ArrayBuffer>[] {
  const { channels, bytesPerSample, decode } = layout;
  const available = Math.min(frames, Math.floor(view.byteLength / (bytesPerSample * channels)));
  return Array.from({ length: channels }, (_, channel) => {
    const samples = new Float32Array(frames);
    for (let frame = 0, at = channel * bytesPerSample; frame < available; frame += 1, at += bytesPerSample * channels) {
      samples[frame] = decode(view, at);
    }
    return samples;
  });
}

async function readLayout(bytes: ByteSource, signal: AbortSignal): Promise<Layout> {
  let windowStart = 0;
  let view = new DataView(await bytes.read(0, HEADER_BYTES, signal));
  const magic = view.byteLength < 12 ? "" : text(view, 0);
  if (!["RIFF", "RF64"].includes(magic) || text(view, 8) !== "WAVE") throw new UnplayableSound("not a WAV file");
  let format: Omit<Layout, "dataStart" | "dataBytes"> | null = null;
  let longDataBytes = 0;
  let position = 12;
  for (let count = 0; count < MAX_CHUNKS; count += 1) {
    if (position + 64 > windowStart + view.byteLength) {
      windowStart = position;
      view = new DataView(await bytes.read(position, position + HEADER_BYTES, signal));
    }
    const at = position - windowStart;
    if (at + 8 > view.byteLength) break;
    const size = view.getUint32(at + 4, true);
    const name = text(view, at);
    if (at + 8 + neededBytes(name, size) > view.byteLength) break;
    if (name === "data") {
      if (format === null) break;
      return { ...format, dataStart: position + 8, dataBytes: size === UNKNOWN_SIZE ? longDataBytes : size };
    }
    if (name === "fmt ") format = readFormat(view, at + 8, size);
    if (name === "ds64") longDataBytes = Number(view.getBigUint64(at + 16, true));
    position += 8 + size + (size % 2);
  }
  throw new UnplayableSound("a WAV file without samples");
}

/** How much of a chunk's beginning is looked at. */
function neededBytes(name: string, size: number): number {
  if (name === "fmt ") return Math.min(Math.max(size, 16), 40);
  return name === "ds64" ? 24 : 0;
}

function readFormat(view: DataView, at: number, size: number): Omit<Layout, "dataStart" | "dataBytes"> {
  const tag = view.getUint16(at, true);
  const kind = tag === FORMAT_EXTENSIBLE && size >= 40 ? view.getUint16(at + 24, true) : tag;
  const bits = view.getUint16(at + 14, true);
  const decode = decoderOf(kind, bits);
  if (decode === null) throw new UnplayableSound(`WAV with format ${kind} and ${bits} bits`);
  return {
    sampleRate: view.getUint32(at + 4, true),
    channels: view.getUint16(at + 2, true),
    bytesPerSample: bits / 8,
    decode,
  };
}

function decoderOf(kind: number, bits: number): Layout["decode"] | null {
  if (kind === FORMAT_FLOAT && bits === 32) return (view, at) => view.getFloat32(at, true);
  if (kind !== FORMAT_PCM) return null;
  if (bits === 16) return (view, at) => view.getInt16(at, true) / 0x8000;
  if (bits === 24) return (view, at) => (view.getUint8(at) | (view.getInt16(at + 1, true) << 8)) / 0x800000;
  if (bits === 32) return (view, at) => view.getInt32(at, true) / 0x80000000;
  return null;
}

function text(view: DataView, at: number): string {
  return String.fromCharCode(view.getUint8(at), view.getUint8(at + 1), view.getUint8(at + 2), view.getUint8(at + 3));
}
