import { defineConfig } from "vite";

// Small pictures become files, too: the page may load nothing but its own origin's.
export default defineConfig({
  base: "./",
  build: {
    outDir: "../static",
    emptyOutDir: true,
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    target: "es2022",
  },
  server: { proxy: { "/api": "http://127.0.0.1:8080", "/dashboard/session": "http://127.0.0.1:8080" } },
});
