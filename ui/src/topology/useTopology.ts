// The swarm for the page that shows it: asks the gateway for it, keeps what it says, and knows which moment is shown.
import { computed, onBeforeUnmount, onMounted, ref, shallowRef, watch } from 'vue'
import { useLive } from '../composables/useLive'
import type { NodeView, ServerFrame, TopologyPeer } from '../wire'
import { Player } from './player'
import { Timeline, type Moment } from './timeline'

/** The numbers beside the picture change this often at most. */
const LOOK_MS = 250

const clock = () => performance.timeOrigin + performance.now()

export function useTopology() {
  const { link, send, listen } = useLive()
  const timeline = new Timeline()
  const player = new Player()
  const known = ref(false)
  const chosen = shallowRef<TopologyPeer | null>(null)
  const detail = shallowRef<NodeView | null>(null)
  /** How it is at the moment that is shown, for everything that is not drawn. */
  const shown = shallowRef<Moment>(timeline.at(0))
  const at = ref(0)
  const mode = ref(player.mode)
  const online = computed(() => link.value.state === 'open')

  const ask = () => send({ type: 'watch', ...(chosen.value?.role === 'node' ? { node: chosen.value.peer } : {}) })

  /** The next picture is the whole of it, and not one that we were too slow for. */
  let awaited = false
  function begin(): void {
    send({ type: 'unwatch' })
    awaited = true
    ask()
  }

  function take(frame: ServerFrame): void {
    if (frame.type === 'hello') return begin()
    if (frame.type === 'node') {
      if (frame.peer === chosen.value?.peer) detail.value = frame.node
      return
    }
    if (frame.type === 'picture') {
      if (awaited) timeline.clear()
      awaited = false
      player.forget()
      player.heard(frame.now_ms, clock())
    }
    timeline.take(frame)
    if (frame.type === 'changes') player.heard(frame.at_ms, clock())
    known.value = known.value || timeline.cards.size > 0
  }

  let looked = ''
  const moment = () => player.moment(clock(), timeline.from)
  function look(): void {
    at.value = moment()
    mode.value = player.mode
    const now = timeline.at(at.value)
    const key = `${now.step} ${timeline.to}`
    if (key === looked) return
    looked = key
    shown.value = { ...now }
  }

  watch(chosen, () => {
    detail.value = null
    if (known.value) ask()
  })
  useWhileShown(() => {
    const unlisten = listen(take)
    if (online.value) begin()
    return () => {
      unlisten()
      send({ type: 'unwatch' })
    }
  }, look)

  return {
    timeline, known, online, chosen, detail, shown, at, mode, moment,
    present: () => player.present(clock()),
    ...controls(player, timeline, look),
  }
}

/** From the page's beginning to its end, and in between now and then. */
function useWhileShown(begin: () => () => void, look: () => void): void {
  let end = () => {}
  let timer: ReturnType<typeof setInterval> | undefined
  onMounted(() => {
    end = begin()
    timer = setInterval(look, LOOK_MS)
  })
  onBeforeUnmount(() => {
    clearInterval(timer)
    end()
  })
}

/** What one can do with the moment that is shown; all else follows at once. */
function controls(player: Player, timeline: Timeline, look: () => void) {
  const act = <T extends unknown[]>(what: (...args: T) => void) => (...args: T) => {
    what(...args)
    look()
  }
  return {
    goLive: act(() => player.goLive()),
    pause: act(() => player.pause(clock(), timeline.from)),
    play: act(() => player.play(clock(), timeline.from)),
    seek: act((at: number) => player.seek(at, clock())),
    setSpeed: act((speed: number) => player.setSpeed(speed, clock(), timeline.from)),
  }
}
