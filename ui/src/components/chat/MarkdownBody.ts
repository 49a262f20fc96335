// Shows Markdown, also while it grows. Settled blocks keep their identity, so only the last one is drawn again.
import type { Definition, RootContent } from 'mdast'
import { defineComponent, h, onBeforeUnmount, shallowRef, watch, type PropType } from 'vue'
import { definitions, GrowingText, type Block } from '../../markdown/parse'
import { renderBlocks } from '../../markdown/render'
import { withMathMarks } from '../../markdown/mathMarks'
import CodeBlock from './CodeBlock.vue'
import MathText from './MathText'

/** A parse that takes longer than this would cost frames, so the next one waits a multiple of it. */
const SLOW_MS = 6
const REST = 6

const MarkdownBlock = defineComponent({
  props: {
    node: { type: Object as PropType<RootContent>, required: true },
    definitions: { type: Object as PropType<ReadonlyMap<string, Definition>>, required: true },
  },
  setup: (props) => () => renderBlocks([props.node], { definitions: props.definitions, codeBlock: CodeBlock, math: MathText }),
})

const NONE: ReadonlyMap<string, Definition> = new Map()

export default defineComponent({
  name: 'MarkdownBody',
  props: {
    text: { type: String, required: true },
    growing: { type: Boolean, default: false },
  },
  setup(props) {
    const growth = new GrowingText()
    const blocks = shallowRef<readonly Block[]>([])
    const defined = shallowRef(NONE)
    let timer: ReturnType<typeof setTimeout> | undefined

    let shown: string | null = null

    const read = () => {
      shown = props.text
      const began = performance.now()
      const text = withMathMarks(props.text)
      blocks.value = props.growing ? growth.grow(text) : growth.finish(text)
      defined.value = props.growing ? NONE : definitions(blocks.value)
      const took = performance.now() - began
      if (props.growing && took > SLOW_MS) timer = setTimeout(afterRest, took * REST)
    }
    const afterRest = () => {
      timer = undefined
      if (props.text !== shown) read()
    }
    watch(() => [props.text, props.growing] as const, () => {
      if (props.growing && timer !== undefined) return
      clearTimeout(timer)
      timer = undefined
      read()
    }, { immediate: true })
    onBeforeUnmount(() => clearTimeout(timer))

    return () => h('div', { class: 'md' }, blocks.value.map((node, index) =>
      h(MarkdownBlock, { key: index, node, definitions: defined.value })))
  },
})
