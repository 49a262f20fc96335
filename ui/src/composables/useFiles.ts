// Files that only a signed-in person gets: a link or an image cannot say who asks, so they are fetched and then shown.
import { ref, watchEffect, type Ref } from 'vue'
import { api } from '../net/api'
import type { Character } from '../wire'

/** Hands a file to the browser's downloads. */
export function saveFile(name: string, content: Blob): void {
  const url = URL.createObjectURL(content)
  const link = document.createElement('a')
  link.href = url
  link.download = name
  link.click()
  setTimeout(() => URL.revokeObjectURL(url), 60_000)
}

/** As a data address, which the content policy allows for images. */
function dataUrl(content: Blob): Promise<string> {
  return new Promise((done, failed) => {
    const reader = new FileReader()
    reader.onload = () => done(reader.result as string)
    reader.onerror = () => failed(new Error('the file could not be read'))
    reader.readAsDataURL(content)
  })
}

/** A character's picture, or null while there is none. */
export function usePicture(character: () => Character): Ref<string | null> {
  const picture = ref<string | null>(null)
  watchEffect((stale) => {
    const one = character()
    let current = true
    stale(() => { current = false })
    picture.value = null
    if (!one.has_picture) return
    void api.picture(one).then(dataUrl).then((url) => { if (current) picture.value = url }).catch(() => {})
  })
  return picture
}
