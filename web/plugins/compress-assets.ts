import { gzipSync } from "node:zlib";

import type { Plugin, Rollup } from "vite";

interface Limits {
  /** Compressed bytes of script that the page may load before it can be used. */
  maxInitialScriptBytes: number;
}

/** Lays a compressed copy beside each script, style sheet and drawing, and fails a build whose page starts too heavy. */
export function compressAssets({ maxInitialScriptBytes }: Limits): Plugin {
  return {
    name: "compress-assets",
    apply: "build",
    generateBundle: {
      order: "post",
      handler(_options, bundle) {
        let initialBytes = 0;
        for (const file of Object.values(bundle)) {
          if (!/\.(js|css|svg)$/.test(file.fileName)) continue;
          const compressed = gzipSync(file.type === "chunk" ? file.code : file.source, { level: 9 });
          this.emitFile({ type: "asset", fileName: `${file.fileName}.gz`, source: compressed });
          if (isInitial(file, bundle)) initialBytes += compressed.length;
        }
        if (initialBytes > maxInitialScriptBytes) {
          this.error(`The page loads ${initialBytes} bytes of compressed script; the limit is ${maxInitialScriptBytes}.`);
        }
        this.info(`The page loads ${initialBytes} bytes of compressed script (limit ${maxInitialScriptBytes}).`);
      },
    },
  };
}

/** True for the entry and for what it imports statically, however deep. */
function isInitial(file: Rollup.OutputChunk | Rollup.OutputAsset, bundle: Rollup.OutputBundle): boolean {
  if (file.type !== "chunk") return false;
  const reached = new Set<string>();
  const pending = Object.values(bundle).flatMap((one) => (one.type === "chunk" && one.isEntry ? [one.fileName] : []));
  for (let name = pending.pop(); name !== undefined; name = pending.pop()) {
    if (reached.has(name)) continue;
    reached.add(name);
    const chunk = bundle[name];
    if (chunk?.type === "chunk") pending.push(...chunk.imports);
  }
  return reached.has(file.fileName);
}
