import { describe, expect, it } from "vitest";

import type { ByteSource } from "../src/audio/bytes";
import { UnplayableSound } from "../src/audio/track";
import { openWav } from "../src/audio/wav";

const { signal } = new AbortController();

/** A file in memory that remembers what has been read of it. */
function fileOf(bytes: Uint8Array<ArrayBuffer>): ByteSource & { reads: [number, number][] } {
  const reads: [number, number][] = [];
  return {
    reads,
    read(start, stop) {
      reads.push([start, stop]);
      return Promise.resolve(bytes.slice(start, stop).buffer);
    },
  };
}

interface Header {
  magic?: string;
  tag?: number;
  bits: number;
  channels?: number;
  dataSize?: number;
  before?: Uint8Array;
}

/** A WAV file with `data` behind the header that is described. */
function wavOf(data: ArrayBuffer, header: Header): Uint8Array<ArrayBuffer> {
  const { magic = "RIFF", tag = 1, bits, channels = 1, dataSize = data.byteLength, before = new Uint8Array() } = header;
  const format = new DataView(new ArrayBuffer(16));
  format.setUint16(0, tag, true);
  format.setUint16(2, channels, true);
  format.setUint32(4, 16_000, true);
  format.setUint16(12, (channels * bits) / 8, true);
  format.setUint16(14, bits, true);
  const parts = [text(magic), size(0), text("WAVE"), before, text("fmt "), size(16), new Uint8Array(format.buffer)];
  return join([...parts, text("data"), size(dataSize), new Uint8Array(data)]);
}

function text(value: string): Uint8Array {
  return new TextEncoder().encode(value);
}

function size(value: number): Uint8Array {
  const view = new DataView(new ArrayBuffer(4));
  view.setUint32(0, value, true);
  return new Uint8Array(view.buffer);
}

function chunk(name: string, content: Uint8Array): Uint8Array {
  return join([text(name), size(content.length), content, new Uint8Array(content.length % 2)]);
}

function join(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

async function samplesOf(bytes: Uint8Array<ArrayBuffer>, start: number, stop: number): Promise<number[][]> {
  const track = await openWav(fileOf(bytes), signal);
  return (await track.read(start, stop, signal)).map((channel) => [...channel]);
}

describe("a WAV file", () => {
  it("is read in the middle, channel by channel", async () => {
    const data = Int16Array.from([0, 0x4000, 0x2000, -0x8000, 0x1000, -0x4000]);

    expect(await samplesOf(wavOf(data.buffer, { bits: 16, channels: 2 }), 1, 3)).toEqual([
      [0.25, 0.125],
      [-1, -0.5],
    ]);
  });

  it("may hold 24-bit integers of either sign", async () => {
    const data = Uint8Array.from([0xff, 0xff, 0x7f, 0, 0, 0x80, 0xff, 0xff, 0xff, 1, 0, 0]);

    const [samples] = await samplesOf(wavOf(data.buffer, { bits: 24 }), 0, 4);

    expect(samples).toEqual([8388607 / 8388608, -1, -1 / 8388608, 1 / 8388608]);
  });

  it("may hold floats beyond full scale", async () => {
    const data = Float32Array.from([1.5, -0.25]);

    expect(await samplesOf(wavOf(data.buffer, { bits: 32, tag: 3 }), 0, 2)).toEqual([[1.5, -0.25]]);
  });

  it("is silent beyond its end", async () => {
    const data = Int16Array.from([0x4000]);

    expect(await samplesOf(wavOf(data.buffer, { bits: 16 }), 0, 3)).toEqual([[0.5, 0, 0]]);
  });

  it("may have its length in a chunk of RF64", async () => {
    const sizes = new DataView(new ArrayBuffer(28));
    sizes.setBigUint64(8, 4n, true);
    const before = chunk("ds64", new Uint8Array(sizes.buffer));
    const bytes = wavOf(Int16Array.from([0x4000, -0x4000]).buffer, { magic: "RF64", bits: 16, dataSize: 0xffffffff, before });

    const track = await openWav(fileOf(bytes), signal);

    expect(track.frames).toBe(2);
    expect(await track.read(0, 2, signal)).toEqual([Float32Array.from([0.5, -0.5])]);
  });

  it("may have more before its samples than one look shows", async () => {
    const before = chunk("LIST", new Uint8Array(200_001));
    const file = fileOf(wavOf(Int16Array.from([0x4000]).buffer, { bits: 16, before }));

    const track = await openWav(file, signal);

    expect(await track.read(0, 1, signal)).toEqual([Float32Array.from([0.5])]);
    expect(file.reads.reduce((sum, [start, stop]) => sum + stop - start, 0)).toBeLessThan(200_000);
  });

  it.each([
    ["something else", text("OggS and so on, long enough")],
    ["nothing", new Uint8Array()],
    ["another coding", wavOf(new ArrayBuffer(4), { bits: 4, tag: 2 })],
    ["no samples", wavOf(new ArrayBuffer(0), { bits: 16 }).slice(0, 30)],
  ])("is not taken for one when it is %s", async (_, bytes) => {
    await expect(openWav(fileOf(join([bytes])), signal)).rejects.toThrow(UnplayableSound);
  });
});
