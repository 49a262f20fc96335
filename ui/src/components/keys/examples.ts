// Programs that work as they stand: they ask this gateway a question with a key.

export interface Asked { origin: string; secret: string; model: string; question: string }

/** What the example in Python needs. */
export const INSTALL = 'pip install openai'

/** A quote in a model's name would end the shell's string. */
const shellQuoted = (text: string) => text.replaceAll("'", "'\\''")

export function curlExample({ origin, secret, model, question }: Asked): string {
  const body = JSON.stringify({ model, messages: [{ role: 'user', content: question }] })
  return [
    `curl ${origin}/v1/chat/completions \\`,
    `  -H 'Authorization: Bearer ${secret}' \\`,
    `  -H 'Content-Type: application/json' \\`,
    `  -d '${shellQuoted(body)}'`,
  ].join('\n')
}

/** JSON's strings are Python's too. */
export function pythonExample({ origin, secret, model, question }: Asked): string {
  return [
    'from openai import OpenAI',
    '',
    `client = OpenAI(base_url=${JSON.stringify(`${origin}/v1`)}, api_key=${JSON.stringify(secret)})`,
    'answer = client.chat.completions.create(',
    `    model=${JSON.stringify(model)},`,
    `    messages=[{"role": "user", "content": ${JSON.stringify(question)}}],`,
    '    stream=True,',
    ')',
    'for chunk in answer:',
    '    if chunk.choices:',
    '        print(chunk.choices[0].delta.content or "", end="", flush=True)',
  ].join('\n')
}
