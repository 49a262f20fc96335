import { createApp } from 'vue'
import App from './App.vue'
import { keepShell } from './offline'
import { router } from './router'
import { chat } from './texts/chat'
import { common } from './texts/common'
import { tellPage } from './texts/language'
import './styles/tokens.css'
import './styles/base.css'
import './styles/kit.css'
import './styles/door.css'
import './styles/shell.css'
import './styles/chat.css'
import './styles/markdown.css'
import './styles/pages.css'

tellPage()
// In the reader's language from the first picture on; English where that cannot be had.
void Promise.all([common.ready(), chat.ready()]).then(() => createApp(App).use(router).mount('#app'))
keepShell()
