import { useEffect, useRef } from 'preact/hooks'

export interface Question {
  title: string
  text: string
  action: string
  run(): void
}

/** Asks before something that cannot be undone. */
export function Confirm({ question, onClose }: { question: Question; onClose(): void }) {
  const dialog = useRef<HTMLDialogElement>(null)
  useEffect(() => dialog.current?.showModal(), [])
  return (
    <dialog ref={dialog} onClose={onClose} aria-labelledby="question" aria-describedby="answer">
      <h2 id="question">{question.title}</h2>
      <p id="answer">{question.text}</p>
      <div class="actions">
        <button type="button" onClick={() => dialog.current?.close()}>
          Cancel
        </button>
        <button
          type="button"
          class="primary danger"
          onClick={() => {
            dialog.current?.close()
            question.run()
          }}
        >
          {question.action}
        </button>
      </div>
    </dialog>
  )
}
