import '@uppy/webcam/css/style.min.css'

import Webcam from '@uppy/webcam'

import type { Uploader } from './uploader'

export function addWebcam(uppy: Uploader): void {
  uppy.use(Webcam, { modes: ['picture', 'video-audio'], mobileNativeCamera: true })
}
