// What the made-up gateway answers.
const SWARM = `This is a peer-to-peer swarm for chatting with language models. People add their own machines as **nodes**, the nodes find each other over libp2p, and a web gateway sends your message to a free node and streams the answer back.`

const RICH = `## How two routers are persuaded

Both machines sit behind a router that only lets *answers* in. **Hole punching** makes each router believe that its own side spoke first:

1. Both machines meet at a relay and learn each other's public address.
2. The relay tells them to start **at the same moment**.
3. Each sends a packet, and each router opens a way back for it.

| Router | QUIC | TCP |
|:--|--:|:-:|
| full cone | 100 % | ✓ |
| port restricted | 97 % | ✓ |
| symmetric | 0 % | relay |

A small example of the first packet:

\`\`\`rust
let socket = UdpSocket::bind("0.0.0.0:0").await?;
socket.send_to(&[0u8; 1], peer).await?;   // opens the way back in our own router
\`\`\`

How long the way back stays open is a matter of chance: with \\(n\\) attempts that each succeed with \\(p\\),

\\[
P = 1 - (1 - p)^n \\qquad \\mathbb{E}[t] = \\sum_{i=1}^{n} i\\,\\frac{p\\,(1-p)^{i-1}}{P}
\\]

> Where punching fails, the relay passes the encrypted bytes on; it cannot read them.

- [x] try direct addresses first
- [ ] then the relay
- [ ] then punch, \`QUIC\` before \`TCP\`

See [the libp2p notes](https://docs.libp2p.io/concepts/nat/) for more. ![a picture](https://example.org/picture.png) <b>raw html</b> stays text.`

export function answers(kind) {
  if (kind === 'long') return Array.from({ length: 12 }, (_, n) => `### Part ${n + 1}\n\n${SWARM} ${SWARM}`).join('\n\n')
  if (kind === 'explain' || kind === 'slow' || kind === 'lost') return RICH
  return SWARM
}
