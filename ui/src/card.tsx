import { useState } from 'preact/hooks'

import type { Medium } from './api'
import { Placeholder } from './placeholder'
import { durationWords, factsOf, nameOf, stateWords } from './words'

interface Props {
  medium: Medium
  onCopy(medium: Medium): void
  onDelete(medium: Medium): void
}

export function Card({ medium, onCopy, onDelete }: Props) {
  const state = stateWords(medium)
  const name = nameOf(medium)
  const gone = medium.status === 'deleted'
  return (
    <li class={`card ${state.tone}`} data-media-id={medium.id} data-status={medium.status}>
      <Picture medium={medium} />
      <div class="about">
        <h3 title={name}>{name}</h3>
        <p class="facts">{factsOf(medium)}</p>
        <p class="state">
          <span class={`chip ${state.tone}`}>{state.label}</span>
          {medium.post_id && <span class="post">Post {medium.post_id}</span>}
        </p>
        {medium.reasons.map((reason) => (
          <p class="reason" key={reason.code}>
            {reason.message}
          </p>
        ))}
        {!gone && (
          <div class="actions">
            {medium.url && (
              <button type="button" onClick={() => onCopy(medium)} aria-label={`Copy link to ${name}`}>
                Copy link
              </button>
            )}
            <button
              type="button"
              class="danger"
              onClick={() => onDelete(medium)}
              aria-label={`Delete ${name}`}
            >
              Delete
            </button>
          </div>
        )}
      </div>
    </li>
  )
}

function Picture({ medium }: { medium: Medium }) {
  const [shown, setShown] = useState(false)
  const [broken, setBroken] = useState(false)
  const picture = (
    <>
      {medium.thumbhash && <Placeholder hash={medium.thumbhash} />}
      {medium.thumbnail_url && !broken ? (
        <img
          src={medium.thumbnail_url}
          alt=""
          loading="lazy"
          decoding="async"
          class={shown ? 'shown' : ''}
          onLoad={() => setShown(true)}
          onError={() => setBroken(true)}
        />
      ) : (
        !medium.thumbhash && <Glyph medium={medium} />
      )}
    </>
  )
  return (
    <div class="picture">
      {medium.url ? (
        <a href={medium.url} target="_blank" rel="noopener" aria-label={`Open ${nameOf(medium)}`}>
          {picture}
        </a>
      ) : (
        picture
      )}
      {medium.duration !== null && (
        <span class="duration">{durationWords(medium.duration)}</span>
      )}
    </div>
  )
}

function Glyph({ medium }: { medium: Medium }) {
  const busy = medium.status === 'received' || medium.status === 'processing'
  if (busy) return <span class="spinner" aria-hidden="true" />
  return (
    <svg class="glyph" viewBox="0 0 24 24" aria-hidden="true">
      <path d="M4 6.5A1.5 1.5 0 0 1 5.5 5h13A1.5 1.5 0 0 1 20 6.5v11a1.5 1.5 0 0 1-1.5 1.5h-13A1.5 1.5 0 0 1 4 17.5zM4 16l4.5-4.5 3.5 3.500 2.500-2.500L20 17.500M15.500 9.500h.01" />
    </svg>
  )
}
