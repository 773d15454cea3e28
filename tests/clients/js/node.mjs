// tus-js-client in Node: `node node.mjs PACKAGES FILE PLAN`, of which PACKAGES has node_modules in it.
import { createReadStream, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import process from 'node:process'
import { PassThrough } from 'node:stream'

import { run } from './run.mjs'

const [packages, file, text] = process.argv.slice(2)
const tus = createRequire(join(packages, 'here.js'))('tus-js-client')
const plan = JSON.parse(text)

function tell(event) {
  process.stdout.write(`${JSON.stringify(event)}\n`)
}

if (plan.terminate) {
  await tus.Upload.terminate(plan.terminate, plan.options)
  tell({ state: 'terminated' })
} else {
  // Of a ReadStream it would look up the file's size, and with a deferred length wait for bytes behind it.
  const input = plan.stream ? createReadStream(file).pipe(new PassThrough()) : readFileSync(file)
  if (plan.urls) plan.options.urlStorage = new tus.FileUrlStorage(plan.urls)
  tell(await run(tus, input, plan, tell))
}
