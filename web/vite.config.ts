import tailwindcss from "@tailwindcss/vite";
import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

import { compressAssets } from "./plugins/compress-assets.ts";

const API = "http://127.0.0.1:8000";

export default defineConfig({
  plugins: [react(), tailwindcss(), compressAssets({ maxInitialScriptBytes: 250_000 })],
  build: {
    target: "es2022",
    assetsInlineLimit: 0, // the Content-Security-Policy allows no data: URLs
    modulePreload: { polyfill: false },
  },
  server: { proxy: { "/api": API, "/healthz": API, "/readyz": API, "/docs": API, "/openapi.json": API } },
});
