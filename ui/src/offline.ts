// The page can be installed, and shows itself when the gateway cannot be reached: `public/service-worker.js` keeps the
// shell and nothing that was said. Only where the browser trusts the connection (https, or this machine).
const WORKER = '/service-worker.js'

/** Under Trusted Types a script's address has to come from a policy; this one knows a single address. */
interface Policies {
  createPolicy(name: string, rules: { createScriptURL(url: string): string }): { createScriptURL(url: string): unknown }
}

function workerAddress(): string {
  const policies = (globalThis as { trustedTypes?: Policies }).trustedTypes
  if (!policies) return WORKER
  const policy = policies.createPolicy('starling', {
    createScriptURL: (url) => {
      if (url === WORKER) return url
      throw new TypeError('not a script of ours')
    },
  })
  return policy.createScriptURL(WORKER) as string
}

export function keepShell(): void {
  if (!import.meta.env.PROD || !('serviceWorker' in navigator)) return
  // After all that the first picture needs.
  addEventListener('load', () => {
    void navigator.serviceWorker.register(workerAddress()).catch(() => {
      // Not kept: the page works as before while the gateway is there.
    })
  })
}
