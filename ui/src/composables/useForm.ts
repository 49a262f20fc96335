// A form that is sent once at a time and shows which field the gateway did not like.
import { ref } from 'vue'
import { ApiError } from '../net/api'
import { reason, sentence } from '../texts'

export function useForm(fields: readonly string[]) {
  const busy = ref(false)
  const wrong = ref<Record<string, string>>({})
  const failure = ref('')

  async function submit(act: () => Promise<void>): Promise<void> {
    if (busy.value) return
    busy.value = true
    wrong.value = {}
    failure.value = ''
    try {
      await act()
    } catch (error) {
      refuse(error as Error)
    } finally {
      busy.value = false
    }
  }

  function refuse(error: Error): void {
    const field = error instanceof ApiError ? error.field : null
    if (field && fields.includes(field)) wrong.value = { [field]: sentence(error.message.replace(`${field}: `, '')) }
    else failure.value = reason(error)
  }

  return { busy, wrong, failure, submit }
}
