/** What the server says about itself in the page that it sends. */
export interface Config {
  auth: 'jwt' | 'off'
  /** Bytes; the server refuses larger files. */
  maxSize: number
  /** Origins whose pages may embed this one and hand it a token. */
  embedOrigins: string[]
}

const DEFAULTS: Config = { auth: 'jwt', maxSize: 500 * 1024 * 1024, embedOrigins: [] }

export function readConfig(): Config {
  const text = document.querySelector<HTMLMetaElement>('meta[name="tusd-server"]')?.content
  return { ...DEFAULTS, ...(JSON.parse(text || '{}') as Partial<Config>) }
}

/** A URL of the server; the page may be served below a prefix. */
export function urlOf(path: string): string {
  return new URL(path, document.baseURI).href
}
