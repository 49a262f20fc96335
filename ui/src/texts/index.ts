// What the page says, by areas: `useTexts(chat)` gives the sentences of the chat in the language that is spoken now.
// A new sentence goes into `en.ts` and `de.ts` of its area; the compiler asks for both.
export { useTexts } from './area'
export { clock, dateAndTime, decimal, gigabytes, listed, milliseconds, percent, rate, sentence, shortDate, whole } from './formats'
export { errorTitle, reason } from './trouble'
