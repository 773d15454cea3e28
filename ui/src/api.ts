import { urlOf } from './config'

export interface Reason {
  code: string
  message: string
}

export type Status =
  | 'received'
  | 'processing'
  | 'ready'
  | 'registered'
  | 'published'
  | 'deleted'
  | 'rejected'
  | 'failed'

/** A medium as the server tells it; sizes in bytes, durations in seconds. */
export interface Medium {
  id: string
  upload_id: string
  post_id: string | null
  media_type: 'image' | 'video' | null
  file_name: string | null
  size: number
  status: Status
  reasons: Reason[]
  width: number | null
  height: number | null
  duration: number | null
  thumbhash: string | null
  url: string | null
  thumbnail_url: string | null
  created_at: string
  published_at: string | null
}

export interface MediaPage {
  items: Medium[]
  next: string | null
}

/** What the server answered, in a sentence for people. */
export class Problem extends Error {
  constructor(
    readonly status: number,
    message: string,
  ) {
    super(message)
  }
}

/** The server, with the token of whoever is signed in. */
export class Api {
  constructor(
    private readonly token: () => string | null,
    private readonly onDenied: (problem: Problem) => void,
  ) {}

  headers(): Record<string, string> {
    const token = this.token()
    return token === null ? {} : { Authorization: `Bearer ${token}` }
  }

  media(cursor?: string): Promise<MediaPage> {
    const query = new URLSearchParams({ limit: '60', ...(cursor ? { cursor } : {}) })
    return this.json('GET', `api/v1/media?${query}`)
  }

  medium(id: string): Promise<Medium> {
    return this.json('GET', `api/v1/media/${id}`)
  }

  async publish(postId: string): Promise<Medium[]> {
    const path = `api/v1/posts/${encodeURIComponent(postId)}/published`
    return (await this.json<{ media: Medium[] }>('POST', path)).media
  }

  async remove(medium: Medium): Promise<void> {
    await this.ask('DELETE', `api/v1/media/${medium.id}`)
  }

  /** Why an upload's URL answers with an error, or null when it does not. */
  async refusal(uploadUrl: string): Promise<string | null> {
    const response = await fetch(uploadUrl, { headers: this.headers() })
    if (response.ok) {
      await response.body?.cancel()
      return null
    }
    return sentence(await response.text(), response.headers.get('Content-Type'))
  }

  async ask(method: string, path: string, headers = {}, signal?: AbortSignal): Promise<Response> {
    const token = this.token()
    let response: Response
    try {
      response = await fetch(urlOf(path), {
        method,
        headers: { ...this.headers(), ...headers },
        signal,
        cache: 'no-store',
      })
    } catch (error) {
      if (signal?.aborted) throw error
      throw new Problem(0, 'The server cannot be reached; check the connection.')
    }
    if (response.ok) return response
    const words = sentence(await response.text(), response.headers.get('Content-Type'))
    const problem = new Problem(response.status, words ?? `The server answered ${response.status}.`)
    // The answer to a token that was replaced meanwhile says nothing about the new one.
    if (response.status === 401 && this.token() === token) this.onDenied(problem)
    throw problem
  }

  private async json<T>(method: string, path: string): Promise<T> {
    return (await (await this.ask(method, path)).json()) as T
  }
}

/** The sentence in an error's body: problem details of the JSON API, or plain text of tus. */
export function sentence(body: string, contentType: string | null): string | null {
  const text = body.trim()
  if (contentType?.includes('json')) {
    try {
      const detail = (JSON.parse(text) as { detail?: unknown }).detail
      return typeof detail === 'string' ? detail : null
    } catch {
      return null
    }
  }
  // Anything longer is some proxy's error page.
  return text && text.length < 400 && !text.startsWith('<') ? text : null
}
