// Who is signed in. The cookie itself cannot be read here; a small mark says that there may be one,
// so that a first visit does not begin with a refused request.
import { computed, readonly, ref } from 'vue'
import { access, api, ApiError } from '../net/api'
import type { SessionAnswer, SignUpMode, User } from '../wire'
import { recall, remember } from './storage'

export type Standing = 'unknown' | 'unreachable' | 'setup' | 'out' | 'in'

const MARK = 'signed-in'
const user = ref<User | null>(null)
const standing = ref<Standing>('unknown')
/** Why the person is asked to sign in again, when they had been signed in. */
const expired = ref(false)
/** Who may make an account here. */
const mode = ref<SignUpMode>('closed')

async function load(): Promise<Standing> {
  try {
    standing.value = recall(MARK) ? await fromCookie() : await fromSetup()
  } catch {
    standing.value = 'unreachable'
  }
  return standing.value
}

async function fromCookie(): Promise<Standing> {
  try {
    user.value = await access.refresh()
    return 'in'
  } catch (error) {
    if (!(error instanceof ApiError) || error.status !== 401) throw error
    expired.value = true
    remember(MARK, null)
    return fromSetup()
  }
}

async function fromSetup(): Promise<Standing> {
  const { needed, sign_up } = await api.setupState()
  mode.value = sign_up
  return needed ? 'setup' : 'out'
}

function entered(answer: SessionAnswer): void {
  user.value = access.enter(answer)
  standing.value = 'in'
  expired.value = false
  remember(MARK, '1')
}

function left(becauseExpired: boolean): void {
  access.leave()
  user.value = null
  standing.value = 'out'
  expired.value = becauseExpired
  remember(MARK, null)
  // The door says whether one may make an account; that can come a moment later.
  void fromSetup().catch(() => {})
}

async function setUp(code: string, username: string, password: string): Promise<void> {
  entered(await api.setUp(code, username, password))
}

async function signIn(username: string, password: string): Promise<void> {
  entered(await api.signIn(username, password))
}

async function signUp(username: string, password: string, invitation: string | null): Promise<void> {
  entered(await api.signUp(username, password, invitation))
}

async function deleteAccount(password: string): Promise<void> {
  await api.deleteAccount(password)
  left(false)
}

async function signOut(): Promise<void> {
  await leaving(api.signOut())
}

async function signOutEverywhere(): Promise<void> {
  await leaving(api.signOutEverywhere())
}

async function leaving(request: Promise<void>): Promise<void> {
  await request.catch((error: unknown) => {
    // An expired session is signed out already.
    if (!(error instanceof ApiError) || error.status !== 401) throw error
  })
  left(false)
}

access.onEnded = () => {
  if (standing.value === 'in') left(true)
}

/** For a request that may find the session expired: notes it, and lets the caller handle the rest. */
export function noteExpiry(error: unknown): void {
  if (error instanceof ApiError && error.status === 401 && standing.value === 'in') left(true)
}

export function useSession() {
  return {
    user: readonly(user), standing: readonly(standing), expired: readonly(expired),
    signedIn: computed(() => standing.value === 'in'),
    load, setUp, signIn, signUp, signOut, signOutEverywhere, deleteAccount, mode: readonly(mode),
  }
}
