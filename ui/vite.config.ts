// Build and development settings. In development the API comes from a running gateway or from `npm run mock`.
import vue from '@vitejs/plugin-vue'
import { defineConfig } from 'vitest/config'

const api = process.env['STARLING_API'] ?? 'http://127.0.0.1:8080'

export default defineConfig({
  plugins: [vue()],
  build: {
    target: 'es2022',
    // The gateway's content policy allows scripts and styles from files only.
    assetsInlineLimit: 0,
    reportCompressedSize: false,
  },
  server: {
    proxy: { '/api': { target: api, ws: true }, '/v1': api },
  },
  test: { environment: 'happy-dom', include: ['tests/**/*.test.ts'], restoreMocks: true },
})
