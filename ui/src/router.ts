// The pages, and who may see which. All together they weigh less than one more round trip; the Markdown reader,
// which is the heavy part, is fetched when there is something to read.
import { createRouter, createWebHistory } from 'vue-router'
import { useSession, type Standing } from './composables/useSession'
import CharactersPage from './pages/CharactersPage.vue'
import ChatPage from './pages/ChatPage.vue'
import MissingPage from './pages/MissingPage.vue'
import SetupPage from './pages/SetupPage.vue'
import ShellPage from './pages/ShellPage.vue'
import SignInPage from './pages/SignInPage.vue'
import SignUpPage from './pages/SignUpPage.vue'
import UnreachablePage from './pages/UnreachablePage.vue'
import { isWhole, loadAnew } from './stale'

/** Pages of people who are not signed in, each for one standing; everything else is behind the door. */
const doors: Partial<Record<Standing, string>> = { setup: '/setup', out: '/sign-in', unreachable: '/unreachable' }

export const router = createRouter({
  history: createWebHistory(),
  routes: [
    { path: '/setup', component: SetupPage },
    { path: '/sign-in', component: SignInPage },
    { path: '/sign-up', component: SignUpPage },
    { path: '/unreachable', component: UnreachablePage },
    {
      path: '/',
      component: ShellPage,
      children: [
        { path: '', redirect: '/c' },
        { path: 'c/:id?', component: ChatPage, props: (to) => ({ id: to.params['id'] || null }) },
        { path: 'characters', component: CharactersPage },
        { path: 'memory', component: () => import('./pages/MemoryPage.vue') },
        { path: 'swarm', component: () => import('./pages/SwarmPage.vue') },
        { path: 'keys', component: () => import('./pages/KeysPage.vue') },
        { path: 'account', component: () => import('./pages/AccountPage.vue') },
        { path: 'add-node', component: () => import('./pages/AddNodePage.vue') },
        { path: 'my-nodes', component: () => import('./pages/MyNodesPage.vue') },
        { path: 'people', redirect: '/operator/people' },
        {
          path: 'operator',
          component: () => import('./pages/operator/OperatorShell.vue'),
          redirect: '/operator/overview',
          children: [
            { path: 'overview', component: () => import('./pages/operator/OverviewPage.vue') },
            { path: 'people', component: () => import('./pages/operator/PeoplePage.vue') },
            { path: 'nodes', component: () => import('./pages/operator/NodesPage.vue') },
            { path: 'invites', component: () => import('./pages/operator/InvitesPage.vue') },
            { path: 'models', component: () => import('./pages/operator/ModelsPage.vue') },
            { path: 'limits', component: () => import('./pages/operator/LimitsPage.vue') },
            { path: 'audit', component: () => import('./pages/operator/AuditPage.vue') },
          ],
        },
        { path: ':rest(.*)*', component: MissingPage },
      ],
    },
  ],
})

router.beforeEach(async (to) => {
  const session = useSession()
  const standing = session.standing.value === 'unknown' ? await session.load() : session.standing.value
  const door = doors[standing]
  const atDoor = [...Object.values(doors), '/sign-up'].includes(to.path)
  if (door === undefined) return atDoor ? '/c' : true
  if (to.path === door || (standing === 'out' && to.path === '/sign-up')) return true
  // After an expiry, signing in leads back to where one was.
  const next = standing === 'out' && !atDoor && to.path.length > 1 && to.path !== '/c' ? { next: to.fullPath } : {}
  return { path: door, query: next }
})

router.onError((error, to) => { loadAnew(error, to.fullPath) })
router.afterEach((_to, _from, failure) => { if (!failure) isWhole() })
