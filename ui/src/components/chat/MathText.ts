// A formula: MathML when its reader has been fetched, and its TeX until then or where it cannot be read.
import { defineComponent, h } from 'vue'
import { chat } from '../../texts/chat'
import { later } from './later'

const reader = later(() => import('../../markdown/math'))

export default defineComponent({
  name: 'MathText',
  props: { tex: { type: String, required: true }, display: { type: Boolean, default: false } },
  setup(props) {
    const math = reader()
    return () => {
      const made = math.value?.mathNode(props.tex, props.display) ?? h('code', { class: 'md-tex' }, props.tex)
      // A wide formula scrolls in its own box; a keyboard reaches that by tab.
      return props.display ? h('div', { class: 'md-math', tabindex: 0, role: 'group', 'aria-label': chat.texts.value.markdown.formula }, [made]) : made
    }
  },
})
