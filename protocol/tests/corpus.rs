//! The fuzzer's corpus as an ordinary test: each file, and some thousand damaged copies of it.
//!
//! After a change of the messages, write the corpus anew:
//! `cargo test -p starling-protocol --test corpus -- --ignored`.
#![expect(clippy::unwrap_used, reason = "tests")]

#[path = "../fuzz/entries.rs"]
mod entries;

use std::path::{Path, PathBuf};

use starling_protocol::{
    JobId, ModelId,
    frame::encode,
    membership::{
        Claims, Hello, Invite, JoinRefusal, JoinReply, JoinRequest, MemberFrame, MemberRole, Membership, NotMember,
        Secret, SwarmKey,
    },
    message::{
        Accepted, Bias, Chat, ChatMessage, Done, Finish, Format, Gpu, JobEvent, JobFailure, JobOpening, JobOrder,
        JobRequest, Likely, LoadFailure, Loadable, Loading, Offer, PauseKind, Paused, Piece, PrivateBytes,
        PrivateTokens, RawPrompt, Reasoning, Refusal, Resume, Role, Sampling, Status, Style, Task, Timings,
        TokenLogprob, ToolChoice, Usage, Vector,
    },
    swarm::{Multiaddr, PeerId},
};

fn folder(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target)
}

/// Xorshift: the same damage in every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % end.max(1) as u64) as usize
    }

    /// A few bits, bytes or stretches of it other than they were.
    fn damaged(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut bytes = bytes.to_vec();
        for _ in 0..=self.below(4) {
            let at = self.below(bytes.len());
            match self.below(6) {
                _ if bytes.is_empty() => bytes.push(self.below(256) as u8),
                0 | 1 => bytes[at] ^= 1 << self.below(8),
                2 => bytes[at] = [0x00, 0x7f, 0x80, 0xff, 0x9b, 0xbf][self.below(6)],
                3 => bytes.truncate(at),
                4 => bytes.insert(at, self.below(256) as u8),
                _ => bytes.extend_from_within(at..(at + self.below(16)).min(bytes.len())),
            }
        }
        bytes
    }
}

fn run(target: &str, copies: usize, entry: fn(&[u8]), repair: fn(&mut [u8])) {
    let mut files: Vec<_> = std::fs::read_dir(folder(target)).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty());
    let mut dice = Dice(0x5eed);
    for file in files {
        let bytes = std::fs::read(&file).unwrap();
        entry(&bytes);
        for _ in 0..copies {
            let mut damaged = dice.damaged(&bytes);
            entry(&damaged);
            repair(&mut damaged);
            entry(&damaged);
        }
    }
}

#[test]
fn frames() {
    // With a length that is right, or hardly one of them would be read past it.
    run("frames", 400, entries::frames, |bytes| {
        if let Some((length, body)) = bytes.split_first_chunk_mut::<4>() {
            *length = (body.len() as u32).to_be_bytes();
        }
    });
}

#[test]
fn invites() {
    run("invites", 4_000, entries::invites, |_| {});
}

#[test]
fn certificates() {
    // Few: signatures are slow without optimisation.
    run("certificates", 60, entries::certificates, |_| {});
}

#[test]
#[ignore = "writes the corpus anew"]
fn write_the_corpus() {
    let key = SwarmKey::generate().unwrap();
    let peer = PeerId::random();
    let addresses: Vec<Multiaddr> = ["/ip4/203.0.113.7/udp/4001/quic-v1", "/dns4/gateway.example/tcp/4001"]
        .map(|address| format!("{address}/p2p/{peer}").parse().unwrap())
        .into();
    let claims = Claims { swarm: key.id(), peer, role: MemberRole::Node, issued_at: 1 << 30, expires_at: 1 << 31 };
    let certificate = key.sign_claims(&claims);
    let membership = Membership { certificate: certificate.clone(), addresses: addresses.clone() };
    write(
        "certificates",
        [
            ("certificate", minicbor::to_vec(&certificate).unwrap()),
            ("membership", minicbor::to_vec(&membership).unwrap()),
            ("revocation", minicbor::to_vec(key.revoke(peer, 1 << 30)).unwrap()),
        ],
    );
    let invite = |addresses: &[Multiaddr]| {
        let secret = Secret::generate().unwrap();
        Invite { swarm: key.id(), gateway: peer, addresses: addresses.to_vec(), secret }.to_string().into_bytes()
    };
    write("invites", [("one", invite(&addresses[..1])), ("two", invite(&addresses))]);

    let hello = Hello { certificate: certificate.clone(), now: 1 << 30, authority: true };
    write(
        "frames",
        [
            ("member_hello", encode(&MemberFrame::Hello(hello))),
            ("member_refused", encode(&MemberFrame::Refused(NotMember::ClockOff { seconds: 600 }))),
            ("member_revocations", encode(&MemberFrame::Revocations(vec![key.revoke(peer, 7), key.revoke(peer, 8)]))),
            ("member_renew", encode(&MemberFrame::Renew)),
            ("member_renewed", encode(&MemberFrame::Renewed(certificate.clone()))),
            (
                "join",
                encode(&JoinRequest {
                    secret: Secret::generate().unwrap(),
                    name: "a home".into(),
                    now: 1 << 30,
                    role: Some(MemberRole::Node),
                }),
            ),
            ("join_granted", encode(&JoinReply::Granted { certificate, addresses })),
            ("join_refused", encode(&JoinReply::Refused(JoinRefusal::ClockOff { seconds: -600 }))),
        ],
    );
    write("frames", jobs());
    write("frames", events());
    write("frames", [("status", encode(&status()))]);
}

fn write(target: &str, files: impl IntoIterator<Item = (&'static str, Vec<u8>)>) {
    std::fs::create_dir_all(folder(target)).unwrap();
    for (name, bytes) in files {
        std::fs::write(folder(target).join(name), bytes).unwrap();
    }
}

fn jobs() -> [(&'static str, Vec<u8>); 5] {
    let begin = |task| {
        encode(&JobOpening::Begin(JobRequest {
            job: JobId::generate(),
            attempt: 1,
            model: ModelId::new([7; 32]),
            task,
            beats: true,
        }))
    };
    let chat = Chat {
        messages: vec![ChatMessage::new(Role::System, "be brief"), ChatMessage::new(Role::User, "hello")],
        sampling: Sampling {
            temperature: Some(0.7),
            seed: Some(42),
            logit_bias: vec![Bias { token: 5, bias: -1.0 }],
            top_logprobs: Some(2),
            ..Sampling::default()
        },
        max_tokens: Some(100),
        stop: vec!["\n".to_owned().into()],
        continue_from: vec![1, 2, 3],
        tools: Some("[]".to_owned().into()),
        tool_choice: ToolChoice::Named("f".to_owned().into()),
        format: Some(Format::Schema("{}".to_owned().into())),
        thinking: Some(true),
        prefixes: vec![1, 2],
        raw: None,
    };
    let raw = RawPrompt::Tokens(PrivateTokens(vec![1, 2, 3]));
    let resume = Resume { job: JobId::generate(), attempt: 2, received: 17 };
    [
        ("job_chat", begin(Task::Chat(chat))),
        ("job_raw", begin(Task::Chat(Chat { raw: Some(raw), ..Chat::default() }))),
        ("job_embed", begin(Task::Embed(vec!["a text".to_owned().into()]))),
        ("job_resume", encode(&JobOpening::Resume(resume))),
        ("job_end", encode(&JobOrder::End)),
    ]
}

fn events() -> [(&'static str, Vec<u8>); 9] {
    let likely = Likely { token: 9, logprob: -0.5, text: PrivateBytes(vec![0xc3]) };
    let logprobs = vec![TokenLogprob { taken: likely.clone(), top: vec![likely] }];
    let style = Style { reasoning: Reasoning::Marked, tool_calls: true };
    let usage = Usage { prompt_tokens: 3, cached_tokens: 1, completion_tokens: 2 };
    let timings = Timings { prefill_ms: 1.5, decode_ms: 20.25 };
    [
        ("event_accepted", JobEvent::Accepted(Accepted { style })),
        ("event_piece", JobEvent::Piece(Piece { seq: 1, tokens: vec![1, 2], text: "ab".to_owned().into(), logprobs })),
        ("event_done", JobEvent::Done(Done { finish: Finish::Stop, usage, timings })),
        ("event_failed", JobEvent::Failed(JobFailure::EngineDied)),
        ("event_refused", JobEvent::Refused(Refusal::NotMember(NotMember::NoCertificate))),
        ("event_vector", JobEvent::Vector(Vector::new(0, &[0.5, -1.0]))),
        ("event_resumed", JobEvent::Resumed),
        ("event_loading", JobEvent::Loading(Loading { permille: 420 })),
        ("event_not_loaded", JobEvent::Refused(Refusal::NotLoaded(LoadFailure::Memory))),
    ]
    .map(|(name, event)| (name, encode(&event)))
}

fn status() -> Status {
    let offer = Offer { slots: 2, slots_free: 1, prefixes: vec![1, 2], ..Offer::new(ModelId::new([1; 32]), "model") };
    let gpu = Gpu { name: "a card".into(), utilization_percent: Some(7), ..Gpu::default() };
    let loadable =
        Loadable { bytes: 5 << 30, loading: Some(310), seconds: 20, ..Loadable::new(ModelId::new([2; 32]), "other") };
    let loadable = vec![loadable];
    let paused = Some(Paused { kind: PauseKind::Battery, seconds: Some(90), returning: false });
    Status { name: "a home".into(), offers: vec![offer], gpus: vec![gpu], loadable, paused, ..Status::default() }
}
