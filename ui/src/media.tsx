import { useCallback, useEffect, useRef, useState } from 'preact/hooks'

import { type Api, type Medium, Problem } from './api'
import { Card } from './card'
import type { Config } from './config'
import { Confirm, type Question } from './dialog'
import { follow } from './events'
import { Posts } from './posts'
import { type Handlers, startUploader } from './uploader'
import { count, nameOf, stateWords } from './words'

interface Props {
  api: Api
  config: Config
  user: string
}

/** The page of somebody who is signed in: the uploader, posts, and the live gallery. */
export function Media({ api, config, user }: Props) {
  const gallery = useGallery(api)
  const [question, setQuestion] = useState<Question | null>(null)
  const [postId, setPostId] = useState('')
  const post = useRef('')
  post.current = postId.trim()
  const handlers = { postId: () => post.current, uploaded: gallery.look, say: gallery.say }
  const target = useUploader(api, config, user, handlers)

  function copy(medium: Medium) {
    void navigator.clipboard.writeText(medium.url!).then(
      () => gallery.say(`The link to ${nameOf(medium)} is copied.`),
      () => gallery.say('The browser does not allow copying here.'),
    )
  }

  function askDelete(medium: Medium) {
    setQuestion({
      title: `Delete ${nameOf(medium)}?`,
      text: 'The file is deleted from this server for good.',
      action: 'Delete',
      run: () => void gallery.remove(medium),
    })
  }

  function askPublish(id: string, files: number) {
    setQuestion({
      title: `Publish ${id}?`,
      text: `This tells the server that the post is out. It deletes ${count(files, 'file')} and keeps their records.`,
      action: 'Publish',
      run: () => void gallery.publish(id),
    })
  }

  const { media } = gallery
  return (
    <main>
      <section aria-labelledby="upload" class="upload">
        <div class="intro">
          <h1 id="upload">Upload photos and videos</h1>
          <p>A lost connection, a reload, even a crash: an upload goes on where it stopped.</p>
        </div>
        <div class="field">
          <label for="post">Post (optional)</label>
          <input
            id="post"
            value={postId}
            maxLength={255}
            placeholder="post-1"
            autocomplete="off"
            onInput={(event) => setPostId(event.currentTarget.value)}
            aria-describedby="post-hint"
          />
          <p id="post-hint" class="hint">
            Its files are deleted here once it is published.
          </p>
        </div>
        <div ref={target} class="uploader" />
      </section>

      <Posts media={media} onPublish={askPublish} />

      <section aria-labelledby="gallery">
        <h2 id="gallery">Your media</h2>
        {!gallery.connected && <p class="notice">No live updates at the moment; trying again.</p>}
        {gallery.fault && <p class="notice bad">{gallery.fault}</p>}
        {gallery.loaded && media.length === 0 && (
          <p class="empty">Nothing here yet. What you upload appears at once.</p>
        )}
        <ul class="cards">
          {media.map((medium) => (
            <Card key={medium.id} medium={medium} onCopy={copy} onDelete={askDelete} />
          ))}
        </ul>
        {gallery.next !== null && (
          <button type="button" class="more" onClick={() => void gallery.more()}>
            Show more
          </button>
        )}
      </section>

      <p class="toast" role="status" data-shown={gallery.said !== ''}>
        {gallery.said}
      </p>
      {question && <Confirm question={question} onClose={() => setQuestion(null)} />}
    </main>
  )
}

function useUploader(api: Api, config: Config, user: string, handlers: Handlers) {
  const target = useRef<HTMLDivElement>(null)
  useEffect(() => {
    const starting = startUploader(target.current!, user, config, api, handlers)
    return () => void starting.then((uppy) => uppy.destroy())
  }, [])
  return target
}

/** My media, newest first, kept up to date by the server's events. */
function useGallery(api: Api) {
  const [known, setKnown] = useState<ReadonlyMap<string, Medium>>(new Map())
  const [next, setNext] = useState<string | null>(null)
  const [loaded, setLoaded] = useState(false)
  const [connected, setConnected] = useState(true)
  const [fault, setFault] = useState<string | null>(null)
  const [said, say] = useState('')
  // What this visit has shown: its end is worth a card, that of others is not.
  const shown = useRef(new Set<string>())
  const states = useRef(new Map<string, string>())
  const listed = useRef(false)

  const put = useCallback((media: Medium[]) => {
    for (const medium of media) if (medium.status !== 'deleted') shown.current.add(medium.id)
    setKnown((before) => {
      const after = new Map(before)
      for (const medium of media) after.set(medium.id, medium)
      return after
    })
  }, [])

  /** A change that somebody may want to hear of. */
  const tell = useCallback((medium: Medium) => {
    const before = states.current.get(medium.id)
    states.current.set(medium.id, medium.status)
    const words = stateWords(medium)
    if (before === medium.status || words.tone === 'busy' || words.tone === 'quiet') return
    if (before !== undefined || listed.current) say(`${nameOf(medium)} ${words.spoken}.`)
  }, [])

  const attempt = useCallback(async <T,>(work: () => Promise<T>): Promise<T | undefined> => {
    try {
      const result = await work()
      setFault(null)
      return result
    } catch (error) {
      setFault(error instanceof Problem ? error.message : String(error))
      return undefined
    }
  }, [])

  const list = useCallback(
    async (cursor?: string) => {
      const page = await attempt(() => api.media(cursor))
      if (!page) return
      for (const medium of page.items) states.current.set(medium.id, medium.status)
      put(page.items)
      setNext(page.next)
      setLoaded(true)
      listed.current = true
    },
    [api],
  )

  const look = useCallback(
    async (mediaId: string) => {
      const medium = await attempt(() => api.medium(mediaId))
      if (!medium) return
      states.current.set(medium.id, states.current.get(medium.id) ?? 'received')
      put([medium])
      tell(medium)
    },
    [api],
  )

  useEffect(() => {
    const end = new AbortController()
    const handlers = {
      reset: () => void list(),
      medium: (medium: Medium) => {
        put([medium])
        tell(medium)
      },
      connected: setConnected,
    }
    void follow(api, handlers, end.signal)
    return () => end.abort()
  }, [api])

  useEffect(() => {
    if (said === '') return
    const timer = setTimeout(() => say(''), 8000)
    return () => clearTimeout(timer)
  }, [said])

  const remove = useCallback(async (medium: Medium) => {
    if ((await attempt(() => api.remove(medium).then(() => true))) === undefined) return
    shown.current.delete(medium.id)
    put([{ ...medium, status: 'deleted', url: null, thumbnail_url: null }])
    shown.current.delete(medium.id)
    say(`${nameOf(medium)} is deleted.`)
  }, [])

  const publish = useCallback(async (postId: string) => {
    const media = await attempt(() => api.publish(postId))
    if (!media) return
    put(media)
    const gone = media.filter((medium) => medium.status === 'deleted').length
    say(`${postId} is published; ${count(gone, 'file')} deleted, the records stay.`)
  }, [])

  const visible = [...known.values()].filter(
    (medium) => medium.status !== 'deleted' || shown.current.has(medium.id),
  )
  visible.sort((a, b) => b.created_at.localeCompare(a.created_at) || b.id.localeCompare(a.id))
  const more = () => list(next ?? undefined)
  return { media: visible, next, loaded, connected, fault, said, say, look, more, remove, publish }
}
