import type { Medium, Status } from './api'

/** A size as people read it, and as Uppy writes it: `4.2 MB`, of 1024 KB each. */
export function sizeWords(bytes: number): string {
  if (bytes < 1024) return `${bytes} B`
  const units = ['KB', 'MB', 'GB', 'TB']
  let value = bytes / 1024
  let unit = 0
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1024
    unit += 1
  }
  return `${value < 10 ? value.toFixed(1) : Math.round(value)} ${units[unit]}`
}

/** A duration in seconds as players show it: `1:05`. */
export function durationWords(seconds: number): string {
  const whole = Math.max(1, Math.round(seconds))
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, '0')}`
}

export interface StateWords {
  label: string
  tone: 'busy' | 'good' | 'bad' | 'quiet'
  /** The same for somebody who hears it, behind the file's name. */
  spoken: string
}

const STATES: Record<Status, StateWords> = {
  received: { label: 'Waiting for its check', tone: 'busy', spoken: 'has arrived' },
  processing: { label: 'Checking, making a thumbnail', tone: 'busy', spoken: 'is being checked' },
  ready: { label: 'Ready', tone: 'good', spoken: 'is ready' },
  registered: { label: 'Ready', tone: 'good', spoken: 'is ready for its post' },
  published: { label: 'Published, cleaning up', tone: 'busy', spoken: 'is published' },
  deleted: { label: 'Deleted', tone: 'quiet', spoken: 'is deleted' },
  rejected: { label: 'Not accepted', tone: 'bad', spoken: 'was not accepted' },
  failed: { label: 'Something went wrong', tone: 'bad', spoken: 'could not be processed' },
}

export function stateWords(medium: Medium): StateWords {
  const cleaned = medium.status === 'deleted' && medium.published_at !== null
  return cleaned ? { ...STATES.deleted, label: 'Published, file deleted' } : STATES[medium.status]
}

export function nameOf(medium: Medium): string {
  return medium.file_name || 'Unnamed file'
}

/** `Video · 1080 × 1920 · 4.2 MB`, of what is known. */
export function factsOf(medium: Medium): string {
  const kind = { image: 'Photo', video: 'Video' }
  const sides = medium.width && medium.height ? `${medium.width} × ${medium.height}` : null
  const facts = [medium.media_type && kind[medium.media_type], sides, sizeWords(medium.size)]
  return facts.filter(Boolean).join(' · ')
}

export function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? '' : 's'}`
}
