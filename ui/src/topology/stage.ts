// Puts the picture onto two canvases: what stands still on the lower one, which is drawn anew when something changes, and
// what moves on the upper one, with every frame.
import type { PeerLink, TopologyPeer } from '../wire'
import { Camera } from './camera'
import { coloursOf, onTheme, type Colours } from './colours'
import { drawFlow, drawMarks, type Moving } from './flow'
import { drawLabels } from './labels'
import { Layout, type Arrangement, type Point } from './layout'
import { drawLines, drawPeers, type Still, type Words } from './paint'
import { sceneOf, spotAt, type Scene, type Spot } from './scene'
import type { Peer, Peers, Timeline } from './timeline'

/** Events that may still be seen. */
const RECENT = 60
const RECENT_MS = 6_000
/** With reduced motion a few pictures a second are enough. */
const STILL_MS = 250
/** Below this width names are for the list. */
const NARROW = 520
/** Finer than this nobody sees it, and it costs by the square. */
const FINEST = 2

export interface Source {
  timeline: Timeline
  moment(): number
}

export interface StageWords extends Words {
  pointed(peer: Peer): string
}

export class Stage {
  readonly camera = new Camera()
  chosen: number | null = null
  /** Where the pointer is. */
  pointer: Point | null = null
  private readonly layout = new Layout()
  private readonly lines = document.createElement('canvas')
  private readonly motion = matchMedia('(prefers-reduced-motion: reduce)')
  private arrangement: Arrangement | null = null
  private scene: Scene | null = null
  private colours: Colours
  private drawn = { crowd: -1, camera: -1, step: -1, links: '' }
  private frame = 0
  private last = 0
  private readonly offTheme: () => void

  constructor(
    private readonly lower: HTMLCanvasElement,
    private readonly upper: HTMLCanvasElement,
    private readonly source: Source,
    private readonly words: StageWords,
  ) {
    this.colours = coloursOf(document.body)
    this.offTheme = onTheme(() => {
      this.colours = coloursOf(document.body)
      this.redraw()
    })
    this.frame = requestAnimationFrame(this.draw)
  }

  stop(): void {
    cancelAnimationFrame(this.frame)
    this.offTheme()
  }

  redraw(): void {
    this.drawn = { ...this.drawn, camera: -1, step: -1, links: '' }
  }

  resize(width: number, height: number): void {
    const fine = Math.min(devicePixelRatio || 1, FINEST)
    for (const canvas of [this.lower, this.upper, this.lines]) {
      canvas.width = Math.round(width * fine)
      canvas.height = Math.round(height * fine)
    }
    this.camera.fit({ width, height }, this.arrangement?.outer ?? 3)
    this.redraw()
  }

  /** Who is at that point of the picture. */
  at(point: Point): TopologyPeer | null {
    if (!this.scene) return null
    const { peers } = this.now()
    return spotAt(this.scene, point, (id) => peers.has(id))?.card ?? null
  }

  /** The next node around the rings, for the arrow keys. */
  beside(id: number | null, step: 1 | -1): TopologyPeer | null {
    const { peers } = this.now()
    const all = [...(this.scene?.spots.values() ?? [])].filter((spot) => peers.has(spot.id))
    all.sort((a, b) => Math.round(a.place.radius) - Math.round(b.place.radius) || a.place.angle - b.place.angle)
    const at = all.findIndex((spot) => spot.id === id)
    const next = at < 0 ? (step > 0 ? 0 : all.length - 1) : (at + step + all.length) % all.length
    return all[next]?.card ?? null
  }

  private now(): { peers: Peers; step: number; waiting: number; moment: number } {
    const moment = this.source.moment()
    const { peers, step, totals } = this.source.timeline.at(moment)
    return { peers, step, waiting: totals.waiting, moment }
  }

  private readonly draw = (time: number): void => {
    this.frame = requestAnimationFrame(this.draw)
    const still = this.motion.matches
    if (still && time - this.last < STILL_MS) return
    this.last = time
    const now = this.now()
    const scene = this.arrange()
    this.drawLower(scene, now.peers, now.step)
    this.drawUpper(scene, now, still)
  }

  private arrange(): Scene {
    const { timeline } = this.source
    if (!this.arrangement || this.drawn.crowd !== timeline.crowd) {
      this.arrangement = this.layout.arrange(timeline.cards.values())
      this.drawn = { ...this.drawn, crowd: timeline.crowd, camera: -1 }
      this.camera.fit(this.camera.size, this.arrangement.outer)
    }
    if (!this.scene || this.drawn.camera !== this.camera.version) {
      this.scene = sceneOf(this.arrangement, timeline.cards.values(), timeline.me, this.camera)
      this.drawn = { ...this.drawn, camera: this.camera.version, step: -1, links: '' }
    }
    return this.scene
  }

  private drawLower(scene: Scene, peers: Peers, step: number): void {
    if (this.drawn.step === step) return
    const still: Still = { scene, peers, colours: this.colours, words: this.words, me: this.source.timeline.me, narrow: this.camera.size.width < NARROW }
    const links = linksOf(peers)
    if (links !== this.drawn.links) drawLines(this.clear(this.lines), still)
    const pen = this.clear(this.lower)
    pen.drawImage(this.lines, 0, 0, this.camera.size.width, this.camera.size.height)
    drawPeers(pen, still)
    drawLabels(pen, still, this.camera)
    this.drawn = { ...this.drawn, step, links }
  }

  private drawUpper(scene: Scene, { peers, waiting, moment }: ReturnType<Stage['now']>, still: boolean): void {
    const recent = this.source.timeline.eventsUntil(moment, RECENT).filter((event) => moment - event.at_ms < RECENT_MS)
    const moving: Moving = { scene, peers, events: recent, moment, waiting, colours: this.colours, still }
    const pen = this.clear(this.upper)
    drawFlow(pen, moving)
    drawMarks(pen, moving, this.spot(this.chosen), this.pointed(scene, peers))
  }

  private pointed(scene: Scene, peers: Peers): { spot: Spot; text: string } | null {
    const spot = this.pointer && spotAt(scene, this.pointer, (id) => peers.has(id))
    const peer = spot ? peers.get(spot.id) : undefined
    return spot && peer ? { spot, text: this.words.pointed(peer) } : null
  }

  private spot(id: number | null): Spot | null {
    return (id !== null && this.scene?.spots.get(id)) || null
  }

  /** In pixels of the page, whatever the screen has. */
  private clear(canvas: HTMLCanvasElement): CanvasRenderingContext2D {
    const pen = canvas.getContext('2d')
    if (!pen) throw new Error('a canvas without a pen')
    const fine = canvas.width / Math.max(this.camera.size.width, 1)
    pen.setTransform(fine, 0, 0, fine, 0, 0)
    pen.clearRect(0, 0, this.camera.size.width, this.camera.size.height)
    return pen
  }
}

function linksOf(peers: Peers): string {
  const letter: Record<PeerLink, string> = { none: 'n', direct: 'd', relayed: 'r' }
  let links = ''
  for (const [id, { link }] of peers) links += `${id}${letter[link]}`
  return links
}
