import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { brotliCompressSync, constants, gzipSync } from 'node:zlib'

import { defineConfig, type Plugin } from 'vite'

const OUT = '../tusd_server/web/page'

/** Beside each asset the same in gzip and Brotli, so that the server never compresses. */
function precompressed(): Plugin {
  return {
    name: 'precompressed',
    apply: 'build',
    closeBundle() {
      const folder = join(import.meta.dirname, OUT, 'assets')
      for (const name of readdirSync(folder)) {
        if (!/\.(js|css|svg)$/.test(name)) continue
        const plain = readFileSync(join(folder, name))
        const params = { [constants.BROTLI_PARAM_QUALITY]: 11 }
        writeFileSync(join(folder, `${name}.gz`), gzipSync(plain, { level: 9 }))
        writeFileSync(join(folder, `${name}.br`), brotliCompressSync(plain, { params }))
      }
    },
  }
}

export default defineConfig({
  // The page may be served below a prefix that a proxy adds, so its URLs are relative.
  base: './',
  plugins: [precompressed()],
  build: {
    outDir: OUT,
    emptyOutDir: true,
    target: 'es2022',
    // A data: URL would not pass the page's Content-Security-Policy everywhere.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
  },
  server: {
    proxy: { '/api': 'http://127.0.0.1:1080', '/files': 'http://127.0.0.1:1080' },
  },
})
