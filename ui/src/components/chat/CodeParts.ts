// Code in colours when their reader has been fetched and knows the language; plain until then.
import { computed, defineComponent } from 'vue'
import { later } from './later'

const reader = later(() => import('../../markdown/highlight'))

export default defineComponent({
  name: 'CodeParts',
  props: { code: { type: String, required: true }, lang: { type: String, required: true } },
  setup(props) {
    const colours = props.lang === '' ? null : reader()
    const parts = computed(() => colours?.value?.highlighted(props.code, props.lang) ?? [props.code])
    return () => parts.value
  },
})
