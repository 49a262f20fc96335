import { createApp } from 'vue'
import App from './App.vue'
import { router } from './router'
import './styles/tokens.css'
import './styles/base.css'
import './styles/kit.css'
import './styles/door.css'
import './styles/shell.css'
import './styles/chat.css'
import './styles/markdown.css'
import './styles/pages.css'

createApp(App).use(router).mount('#app')
