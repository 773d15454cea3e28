import { useState } from 'preact/hooks'

import { Api, Problem } from './api'

interface Props {
  /** Why somebody who was signed in has to do it again. */
  reason: string | null
  onToken(token: string): void
}

export function SignIn({ reason, onToken }: Props) {
  const [token, setToken] = useState('')
  const [fault, setFault] = useState(reason)
  const [asking, setAsking] = useState(false)

  async function submit(event: Event) {
    event.preventDefault()
    const given = token.trim().replace(/^Bearer\s+/i, '')
    if (!given) return setFault('Paste a token first.')
    setAsking(true)
    try {
      await new Api(() => given, () => {}).media()
      onToken(given)
    } catch (error) {
      setFault(error instanceof Problem ? error.message : String(error))
    } finally {
      setAsking(false)
    }
  }

  return (
    <main class="signin">
      <h1>Sign in</h1>
      <p>Paste a token of your application, or one that the server’s operator made:</p>
      <pre>
        <code>tusd-server token --user alice</code>
      </pre>
      <form onSubmit={submit}>
        <label for="token">Token</label>
        <input
          id="token"
          type="password"
          autocomplete="off"
          spellcheck={false}
          value={token}
          onInput={(event) => setToken(event.currentTarget.value)}
          aria-invalid={fault !== null}
          aria-describedby="fault"
        />
        <p id="fault" class="fault" role="alert">
          {fault}
        </p>
        <button type="submit" class="primary" disabled={asking}>
          Sign in
        </button>
      </form>
      <p class="hint">It is kept in this tab only, until you close it or sign out.</p>
    </main>
  )
}
