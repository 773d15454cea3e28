import Uppy, { type UppyFile } from '@uppy/core'
import Dashboard from '@uppy/dashboard'
import GoldenRetriever from '@uppy/golden-retriever'
import Tus, { type TusBody } from '@uppy/tus'

import { type Api, sentence } from './api'
import { type Config, urlOf } from './config'
import { count, sizeWords } from './words'

export type Uploader = Uppy<Facts, TusBody>
type File = UppyFile<Facts, TusBody>

/** What is told of each file. */
interface Facts {
  [name: string]: string | undefined
  post_id?: string
}

const GIB = 1024 ** 3
// Uppy sends these as filename and filetype.
const FIELDS = ['name', 'type']
const SHOWN_MILLISECONDS = 1200
const RETRY_DELAYS = [500, 1000, 3000, 5000, 10_000, 20_000]

export interface Handlers {
  /** The post to which the next files belong; empty for none. */
  postId(): string
  /** The server has every byte; `mediaId` is what became of them. */
  uploaded(mediaId: string): void
  /** Something that a person should hear. */
  say(text: string): void
}

/** A browser holds one slot for each tab, so that no two tabs restore or resume the same files. */
async function takeSlot(): Promise<number> {
  if (!('locks' in navigator)) return 1
  for (let slot = 1; ; slot += 1) {
    const taken = await new Promise<boolean>((resolve) => {
      void navigator.locks.request(`tusd-server.slot-${slot}`, { ifAvailable: true }, (lock) => {
        resolve(lock !== null)
        // Held until the tab ends, also by a crash; the next tab then finds its files.
        return lock === null ? undefined : new Promise(() => {})
      })
    })
    if (taken) return slot
  }
}

let slot: Promise<number> | undefined

/** Uppy's Dashboard in `target`; it sends what is dropped on it at once. */
export async function startUploader(
  target: HTMLElement,
  user: string,
  config: Config,
  api: Api,
  handlers: Handlers,
): Promise<Uploader> {
  slot ??= takeSlot()
  const camera = loadCamera()
  const uppy = new Uppy<Facts, TusBody>({
    id: `uploads-${await slot}-${user}`,
    autoProceed: true,
    onBeforeFileAdded: (file) => ofPost(file, handlers.postId()),
    // Refusals are told to the person in words; to the browser's console they are no faults.
    logger: { debug: () => {}, warn: console.warn, error: console.warn },
    restrictions: { maxFileSize: config.maxSize, allowedFileTypes: ['image/*', 'video/*'] },
  })
  uppy.use(Dashboard, {
    target,
    inline: true,
    width: '100%',
    height: 344,
    theme: 'auto',
    proudlyDisplayPoweredByUppy: false,
    showLinkToFileUploadResult: false,
    note: `Photos and videos, up to ${sizeWords(config.maxSize)} each.`,
    locale: {
      strings: {
        dropPasteFiles: 'Drop photos and videos here, or %{browseFiles}',
        dropPasteImportFiles: 'Drop photos and videos here, %{browseFiles} or use:',
        browseFiles: 'choose files',
        dropHint: 'Drop them here',
      },
    },
  })
  uppy.use(Tus, {
    endpoint: urlOf('files/'),
    allowedMetaFields: FIELDS,
    // Else the same file, chosen again tomorrow, would count as uploaded already.
    removeFingerprintOnSuccess: true,
    retryDelays: RETRY_DELAYS,
    // Browsers allow six connections to a server; the gallery needs some, too.
    limit: 3,
    // Not by `headers`: a token may be renewed while an upload runs, and setting one twice joins both.
    onBeforeRequest: (request) => {
      for (const [name, value] of Object.entries(api.headers())) request.setHeader(name, value)
    },
  })
  uppy.use(GoldenRetriever, {
    // Its types know less than it does; the disk's quota still holds.
    indexedDB: { maxFileSize: config.maxSize, maxTotalSize: 4 * GIB } as object,
  })
  mendLists(target)
  listen(uppy, api, handlers)
  ;(await camera)?.addWebcam(uppy)
  return uppy
}

function listen(uppy: Uploader, api: Api, handlers: Handlers): void {
  uppy.on('upload-success', (file, response) => {
    const xhr = response.body?.xhr
    const mediaId = xhr?.getResponseHeader('Upload-Media-Id')
    if (mediaId) handlers.uploaded(mediaId)
    if (file) handlers.say(`${file.name} is uploaded and is being checked.`)
  })
  uppy.on('complete', ({ successful, failed }) => {
    // Those go on in the gallery below.
    setTimeout(() => successful?.forEach((file) => leave(uppy, file)), SHOWN_MILLISECONDS)
    if (failed?.length) handlers.say(`${count(failed.length, 'upload')} did not succeed.`)
  })
  uppy.on('restored', () => {
    // Unless a file's bytes are lost and the person has to choose it again.
    const whole = uppy.getFiles().every((file) => !file.isGhost)
    if (whole && uppy.getFiles().length) uppy.emit('restore-confirmed')
  })
  uppy.on('upload-error', (file, error, response) => {
    if (file) void explain(uppy, api, file, error, response?.body?.xhr)
  })
}

/** Uppy shows a single file as an item of no list, which screen readers stumble on. */
function mendLists(target: HTMLElement): void {
  const mend = () =>
    target.querySelector('.uppy-Dashboard-files:not([role])')?.setAttribute('role', 'list')
  new MutationObserver(mend).observe(target, { childList: true, subtree: true })
}

/** The file with its post; Uppy would send a field without a value as the word `undefined`. */
function ofPost(file: File, postId: string): File {
  if (!postId) return file
  const tus = { allowedMetaFields: [...FIELDS, 'post_id'] }
  return { ...file, meta: { ...file.meta, post_id: postId }, tus } as File
}

/** Take a file that is uploaded from the list, unless it has been replaced meanwhile. */
function leave(uppy: Uploader, { id }: File): void {
  if (uppy.getState().files[id]?.progress.uploadComplete) uppy.removeFile(id)
}

/** Replace the protocol's words of an error by the server's for people. */
async function explain(
  uppy: Uploader,
  api: Api,
  file: File,
  error: { message: string },
  xhr: XMLHttpRequest | undefined,
): Promise<void> {
  let words = xhr && sentence(xhr.responseText, xhr.getResponseHeader('Content-Type'))
  const uploadUrl = (file as { tus?: { uploadUrl?: string } }).tus?.uploadUrl
  if (!words && uploadUrl) {
    // A refusal in the midst of a body may be lost with its connection; the URL repeats it.
    words = await api.refusal(uploadUrl).catch(() => null)
  }
  words ||= navigator.onLine
    ? 'The upload broke off; try it again.'
    : 'There is no connection; the upload goes on when it is back.'
  uppy.log(error.message)
  if (!uppy.getState().files[file.id]) return
  uppy.setFileState(file.id, { error: words })
  uppy.hideInfo()
  uppy.info(`${file.name} could not be uploaded. ${words}`, 'error', 12_000)
}

/** The camera's code comes by itself, and only where there can be a camera. */
async function loadCamera() {
  return navigator.mediaDevices ? import('./camera') : null
}
