import type { Api, Medium } from './api'

interface Handlers {
  /** What was missed is not told; list the media anew. */
  reset(): void
  medium(medium: Medium): void
  /** Whether changes are being told at the moment. */
  connected(connected: boolean): void
}

interface ServerEvent {
  id: string | null
  name: string
  data: string
}

const FIRST_PAUSE = 500
const LONGEST_PAUSE = 15_000

/**
 * Follow the changes of my media until `signal` aborts.
 *
 * By fetch, since an EventSource cannot send a token. While the tab is hidden nothing is open:
 * browsers allow six connections to a server, for all tabs together.
 */
export async function follow(api: Api, handlers: Handlers, signal: AbortSignal): Promise<void> {
  let last: string | null = null
  let pause = FIRST_PAUSE
  while (!signal.aborted) {
    await untilVisible(signal)
    const round = new AbortController()
    const stop = () => {
      if (document.hidden || signal.aborted) round.abort()
    }
    document.addEventListener('visibilitychange', stop)
    signal.addEventListener('abort', stop)
    try {
      const headers = last === null ? {} : { 'Last-Event-ID': last }
      const response = await api.ask('GET', 'api/v1/media/events', headers, round.signal)
      handlers.connected(true)
      for await (const event of eventsOf(response)) {
        pause = FIRST_PAUSE
        last = event.id ?? last
        if (event.name === 'reset') handlers.reset()
        if (event.name === 'medium') handlers.medium(JSON.parse(event.data) as Medium)
      }
    } catch {
      if (!round.signal.aborted) handlers.connected(false)
    } finally {
      document.removeEventListener('visibilitychange', stop)
      signal.removeEventListener('abort', stop)
    }
    await sleep(pause, signal)
    pause = Math.min(pause * 2, LONGEST_PAUSE)
  }
}

async function* eventsOf(response: Response): AsyncGenerator<ServerEvent> {
  const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader()
  let text = ''
  for (;;) {
    const { done, value } = await reader.read()
    if (done) return
    text += value
    const blocks = text.split('\n\n')
    text = blocks.pop()!
    for (const block of blocks) {
      const fields = new Map(block.split('\n').map(cut))
      const data = fields.get('data')
      if (data !== undefined) {
        yield { id: fields.get('id') ?? null, name: fields.get('event') ?? 'message', data }
      }
    }
  }
}

function cut(line: string): [string, string] {
  const at = line.indexOf(': ')
  return at < 0 ? [line, ''] : [line.slice(0, at), line.slice(at + 2)]
}

function untilVisible(signal: AbortSignal): Promise<void> {
  if (!document.hidden) return Promise.resolve()
  return new Promise((resolve) => {
    const look = () => {
      if (document.hidden && !signal.aborted) return
      document.removeEventListener('visibilitychange', look)
      resolve()
    }
    document.addEventListener('visibilitychange', look)
    signal.addEventListener('abort', look, { once: true })
  })
}

function sleep(milliseconds: number, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve()
  return new Promise((resolve) => {
    const end = () => {
      clearTimeout(timer)
      signal.removeEventListener('abort', end)
      resolve()
    }
    const timer = setTimeout(end, milliseconds)
    signal.addEventListener('abort', end)
  })
}
