import '@uppy/core/css/style.min.css'
import '@uppy/dashboard/css/style.min.css'
import './style.css'

import { render } from 'preact'
import { useEffect, useMemo, useState } from 'preact/hooks'

import { Api } from './api'
import { type Config, readConfig } from './config'
import { Media } from './media'
import { askEmbedder, listenToEmbedder, storedToken, storeToken, userOf } from './session'
import { SignIn } from './signin'

function App({ config }: { config: Config }) {
  const [token, setToken] = useState(storedToken)
  const [reason, setReason] = useState<string | null>(null)

  const current = useMemo(() => ({ token }), [])
  current.token = token

  function signIn(given: string) {
    storeToken(given)
    setReason(null)
    setToken(given)
  }

  function signOut(why: string | null) {
    storeToken(null)
    setReason(why)
    setToken(null)
    if (why !== null) askEmbedder(config)
  }

  useEffect(() => listenToEmbedder(config, signIn), [])

  const api = useMemo(
    () => new Api(() => current.token, (problem) => signOut(problem.message)),
    [],
  )
  const off = config.auth === 'off'
  const user = token === null ? null : userOf(token)
  return (
    <>
      <header>
        <span class="brand">
          <svg viewBox="0 0 32 32" aria-hidden="true">
            <rect width="32" height="32" rx="9" />
            <path d="M16 23V10m0 0-5.500 5.500M16 10l5.500 5.500" />
          </svg>
          Media uploads
        </span>
        {!off && token !== null && (
          <span class="user">
            <span>{user}</span>
            <button type="button" onClick={() => signOut(null)}>
              Sign out
            </button>
          </span>
        )}
      </header>
      {off || token !== null ? (
        <Media key={user} api={api} config={config} user={user ?? 'anonymous'} />
      ) : (
        <SignIn key={reason} reason={reason} onToken={signIn} />
      )}
    </>
  )
}

render(<App config={readConfig()} />, document.getElementById('app')!)
