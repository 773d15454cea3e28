import type { Config } from './config'

const KEY = 'tusd-server.token'
const ASK_PAUSE = 3000

/** Kept for this tab alone, and gone with it. */
export function storedToken(): string | null {
  return sessionStorage.getItem(KEY)
}

export function storeToken(token: string | null): void {
  if (token === null) sessionStorage.removeItem(KEY)
  else sessionStorage.setItem(KEY, token)
}

/** The token's `sub`, to greet somebody with; the server alone decides whether it holds. */
export function userOf(token: string): string | null {
  try {
    const payload = token.split('.')[1].replace(/-/g, '+').replace(/_/g, '/')
    const bytes = Uint8Array.from(atob(payload), (letter) => letter.charCodeAt(0))
    const claims: unknown = JSON.parse(new TextDecoder().decode(bytes))
    const sub = (claims as { sub?: unknown }).sub
    return typeof sub === 'string' ? sub : null
  } catch {
    return null
  }
}

/**
 * Take tokens from the page that embeds this one, if its origin is on the server's list.
 *
 * It is asked by the message `tusd-server:ready` and answers, now and whenever it has a new one,
 * with `{type: 'tusd-server:token', token}`.
 */
export function listenToEmbedder(config: Config, onToken: (token: string) => void): void {
  if (window.parent === window) return
  window.addEventListener('message', (event: MessageEvent<unknown>) => {
    const message = event.data as { type?: unknown; token?: unknown } | null
    const known = event.source === window.parent && config.embedOrigins.includes(event.origin)
    if (known && message?.type === 'tusd-server:token' && typeof message.token === 'string') {
      onToken(message.token)
    }
  })
  askEmbedder(config)
}

let askedAt = -ASK_PAUSE
let isAboutToAsk = false

/** Say that a token is needed; one that answers with refused tokens is asked at leisure. */
export function askEmbedder(config: Config): void {
  if (window.parent === window || isAboutToAsk) return
  isAboutToAsk = true
  const pause = Math.max(0, askedAt + ASK_PAUSE - performance.now())
  setTimeout(() => {
    isAboutToAsk = false
    askedAt = performance.now()
    for (const origin of config.embedOrigins) {
      window.parent.postMessage({ type: 'tusd-server:ready' }, origin)
    }
  }, pause)
}
