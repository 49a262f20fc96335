// Build and development settings. In development the API comes from a running gateway or from `npm run mock`.
import vue from '@vitejs/plugin-vue'
import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vitest/config'

const api = process.env['STARLING_API'] ?? 'http://127.0.0.1:8080'

export default defineConfig({
  plugins: [vue()],
  resolve: {
    alias: {
      // Its way for browsers reads `&amp;` through innerHTML, which Trusted Types forbid here; this one has a table.
      'decode-named-character-reference': fileURLToPath(new URL('./node_modules/decode-named-character-reference/index.js', import.meta.url)),
    },
  },
  build: {
    target: 'es2022',
    // The gateway's content policy allows scripts and styles from files only.
    assetsInlineLimit: 0,
    reportCompressedSize: false,
  },
  server: {
    proxy: { '/api': { target: api, ws: true }, '/v1': api },
  },
  test: {
    environment: 'happy-dom',
    include: ['tests/**/*.test.ts'],
    restoreMocks: true,
    // For a very busy computer; what would wait for ever still ends.
    testTimeout: 30_000,
  },
})
