// Keeps a growing page at its end while the reader is at its end, and leaves it alone when they have scrolled up.
import { onBeforeUnmount, ref, watch, type Ref } from 'vue'

/** Nearer to the end than this counts as being there: a finger does not stop to the pixel. */
const NEAR_PX = 56

export function useStick(scroller: Ref<HTMLElement | null>, content: Ref<HTMLElement | null>, wanted: () => boolean) {
  const atEnd = ref(true)

  const distance = (el: HTMLElement) => el.scrollHeight - el.scrollTop - el.clientHeight
  const onScroll = () => {
    if (scroller.value) atEnd.value = distance(scroller.value) < NEAR_PX
  }
  const jump = () => {
    atEnd.value = true
    if (scroller.value) scroller.value.scrollTop = wanted() ? scroller.value.scrollHeight : 0
  }
  const grown = new ResizeObserver(() => {
    if (atEnd.value && wanted()) jump()
    else onScroll()
  })

  watch(content, (now, before) => {
    if (before) grown.unobserve(before)
    if (now) grown.observe(now)
  })
  watch(scroller, (now, before) => {
    before?.removeEventListener('scroll', onScroll)
    if (before) grown.unobserve(before)
    now?.addEventListener('scroll', onScroll, { passive: true })
    if (now) grown.observe(now)
  })
  onBeforeUnmount(() => grown.disconnect())

  return { atEnd, jump }
}
