import { request } from "../api/client";
import { UnplayableSound, type Track } from "./track";

/** Decoded sound is held in memory: an hour of it would take more than a gigabyte. */
export const MAX_DECODED_S = 15 * 60;

/** A short recording in any format that the browser knows, decoded as a whole at `sampleRate`. */
export async function openDecoded(href: string, sampleRate: number, signal: AbortSignal): Promise<Track> {
  const response = await request(`${href}?redirect=false`, { signal });
  const context = new OfflineAudioContext({ length: 1, sampleRate });
  let sound: AudioBuffer;
  try {
    sound = await context.decodeAudioData(await response.arrayBuffer());
  } catch (error) {
    if (error instanceof DOMException && error.name === "EncodingError") {
      throw new UnplayableSound("a format that this browser does not play");
    }
    throw error;
  }
  return {
    sampleRate,
    channels: sound.numberOfChannels,
    frames: sound.length,
    read(start, stop) {
      const channels = Array.from({ length: sound.numberOfChannels }, (_, channel) => {
        const samples = new Float32Array(stop - start);
        samples.set(sound.getChannelData(channel).subarray(start, stop));
        return samples;
      });
      return Promise.resolve(channels);
    },
  };
}
