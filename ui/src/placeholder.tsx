import { useEffect, useRef } from 'preact/hooks'
import { thumbHashToRGBA } from 'thumbhash'

/** The few colours of a picture that has not come yet. */
export function Placeholder({ hash }: { hash: string }) {
  const canvas = useRef<HTMLCanvasElement>(null)
  useEffect(() => {
    if (canvas.current) draw(canvas.current, hash)
  }, [hash])
  return <canvas ref={canvas} class="placeholder" aria-hidden="true" />
}

function draw(canvas: HTMLCanvasElement, hash: string): void {
  try {
    const bytes = Uint8Array.from(atob(hash), (letter) => letter.charCodeAt(0))
    const { w, h, rgba } = thumbHashToRGBA(bytes)
    canvas.width = w
    canvas.height = h
    const pixels = new ImageData(new Uint8ClampedArray(rgba), w, h)
    canvas.getContext('2d')?.putImageData(pixels, 0, 0)
  } catch {
    canvas.hidden = true
  }
}
