// Many changes, one picture: runs `act` at most once an animation frame, however often it is asked to.

/** A hidden page gets no frames; it still should not fall behind for ever. */
const HIDDEN_MS = 250

export function frameBatch(act: () => void): () => void {
  let planned = false
  const run = () => {
    if (!planned) return
    planned = false
    act()
  }
  return () => {
    if (planned) return
    planned = true
    if (document.hidden) setTimeout(run, HIDDEN_MS)
    else requestAnimationFrame(run)
  }
}
