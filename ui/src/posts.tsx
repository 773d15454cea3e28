import type { Medium } from './api'
import { count, sizeWords } from './words'

interface Props {
  media: Medium[]
  onPublish(postId: string, files: number): void
}

interface Post {
  id: string
  ready: Medium[]
  waiting: number
  cleaned: Medium[]
}

/** The posts to which the shown media belong, and what their publication did. */
export function Posts({ media, onPublish }: Props) {
  const posts = postsOf(media)
  if (posts.length === 0) return null
  return (
    <section aria-labelledby="posts">
      <h2 id="posts">Posts</h2>
      <ul class="posts">
        {posts.map((post) => (
          <li key={post.id} data-post-id={post.id}>
            <div>
              <strong>{post.id}</strong>
              <p class="facts">{told(post)}</p>
            </div>
            {post.ready.length > 0 && (
              <button
                type="button"
                class="primary"
                disabled={post.waiting > 0}
                onClick={() => onPublish(post.id, post.ready.length)}
                aria-label={`Publish ${post.id}`}
              >
                Publish
              </button>
            )}
          </li>
        ))}
      </ul>
    </section>
  )
}

function told(post: Post): string {
  const parts = []
  if (post.ready.length) parts.push(`${count(post.ready.length, 'file')} ready, ${bytes(post.ready)}`)
  if (post.waiting) parts.push(`${count(post.waiting, 'file')} being checked`)
  if (post.cleaned.length) {
    const files = count(post.cleaned.length, 'file')
    parts.push(`published: ${files} deleted, ${bytes(post.cleaned)} freed`)
  }
  return parts.join(' · ')
}

function bytes(media: Medium[]): string {
  return sizeWords(media.reduce((sum, medium) => sum + medium.size, 0))
}

function postsOf(media: Medium[]): Post[] {
  const posts = new Map<string, Post>()
  for (const medium of media) {
    const id = medium.post_id
    if (id === null) continue
    const post = posts.get(id) ?? { id, ready: [], waiting: 0, cleaned: [] }
    if (medium.status === 'registered') post.ready.push(medium)
    if (['received', 'processing', 'ready'].includes(medium.status)) post.waiting += 1
    if (medium.published_at !== null) post.cleaned.push(medium)
    posts.set(id, post)
  }
  const told = [...posts.values()]
  return told.filter((post) => post.ready.length + post.waiting + post.cleaned.length > 0)
}
