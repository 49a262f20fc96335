// Runs before the first paint, so that a chosen theme does not flash in the other one first.
try {
  const chosen = localStorage.getItem('starling.theme')
  if (chosen === 'light' || chosen === 'dark') document.documentElement.dataset.theme = chosen
} catch {
  // Storage is forbidden: the system's own setting stands.
}
