// One upload by tus-js-client after a plan; the same code in Node and in a page.
//
// plan.options     options of tus.Upload, as they are
// plan.resume      go on with what the URL storage knows of this file
// plan.abort       {at, chunks, again, terminate}: abort at so many bytes or behind so many chunks;
//                  and at once start again, or delete the upload
// plan.overtake    before this PATCH (counted from 1), another program sends the same bytes
// tell(event)      is called with {request: [method, status]} as answers arrive

export async function run(tus, input, plan, tell = () => {}) {
  const { promise, settle } = deferred()
  const requests = []
  const abort = { at: Infinity, chunks: Infinity, ...plan.abort }
  let chunks = 0
  let patches = 0
  let retries = 0
  let aborted = false

  // Of parallel uploads the URLs are stored while bytes flow already; without them nobody could go on.
  async function stored() {
    while (plan.resume && plan.options.parallelUploads > 1 && !(await upload.findPreviousUploads()).length);
  }

  async function stop() {
    aborted = true
    await upload.abort(Boolean(abort.terminate))
    if (abort.again) upload.start()
    else settle({ state: 'aborted' })
  }

  const upload = new tus.Upload(input, {
    ...plan.options,
    async onBeforeRequest(request) {
      if (request.getMethod() === 'PATCH') await stored()
      if (request.getMethod() === 'PATCH' && ++patches === plan.overtake) {
        await overtake(upload.url, plan.options.headers, input, plan.options.chunkSize * (patches - 1), plan.options.chunkSize)
      }
    },
    onAfterResponse(request, response) {
      requests.push([request.getMethod(), response.getStatus()])
      tell({ request: requests.at(-1), url: upload.url })
    },
    onShouldRetry(error, attempt, options) {
      retries = attempt + 1
      return tus.defaultOptions.onShouldRetry(error, attempt, options)
    },
    onProgress(sent) {
      if (!aborted && sent >= abort.at) stop()
    },
    onChunkComplete() {
      if (!aborted && ++chunks >= abort.chunks) stop()
    },
    onError(error) {
      const answer = error.originalResponse
      settle({
        state: 'failed',
        message: error.message,
        status: answer ? answer.getStatus() : 0,
        body: answer ? answer.getBody() : '',
      })
    },
    onSuccess({ lastResponse }) {
      settle({ state: 'done', medium: lastResponse.getHeader('Upload-Media-Id') ?? null })
    },
  })
  if (plan.resume) {
    const [previous] = await upload.findPreviousUploads()
    if (previous) upload.resumeFromPreviousUpload(previous)
  }
  upload.start()
  const result = await promise
  return { ...result, url: upload.url, requests, retries }
}

function deferred() {
  let settle
  const promise = new Promise((resolve) => {
    settle = resolve
  })
  return { promise, settle }
}

async function overtake(url, headers, input, offset, size) {
  await fetch(url, {
    method: 'PATCH',
    headers: {
      ...headers,
      'Tus-Resumable': '1.0.0',
      'Upload-Offset': String(offset),
      'Content-Type': 'application/offset+octet-stream',
    },
    body: input.slice(offset, offset + size),
  })
}
