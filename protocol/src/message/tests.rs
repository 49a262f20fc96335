//! Bounds, forward compatibility and privacy of the messages.

use super::*;
use crate::{
    id::{JobId, ModelId},
    limits,
};

fn request() -> JobRequest {
    JobRequest {
        job: JobId::generate(),
        attempt: 1,
        model: ModelId::new([7; 32]),
        task: Task::Chat(chat()),
        beats: true,
    }
}

fn chat() -> Chat {
    Chat { messages: vec![ChatMessage::new(Role::User, "hello")], ..Chat::default() }
}

#[track_caller]
fn check(change: impl FnOnce(&mut Chat), field: Option<&str>) {
    let mut chat = chat();
    change(&mut chat);
    let request = JobRequest { task: Task::Chat(chat), ..request() };
    assert_eq!(request.validate().err().map(|invalid| invalid.field), field);
}

#[test]
fn requests_are_bounded() {
    check(|_| {}, None);
    check(|r| r.messages.clear(), Some("messages"));
    check(|r| r.messages = vec![r.messages[0].clone(); limits::MAX_MESSAGES], None);
    check(|r| r.messages = vec![r.messages[0].clone(); limits::MAX_MESSAGES + 1], Some("messages"));
    check(|r| r.messages[0].content.0 = "x".repeat(limits::MAX_PROMPT_BYTES + 1), Some("messages"));
    check(|r| r.continue_from = vec![0; limits::MAX_CONTINUE_TOKENS + 1], Some("continue_from"));
    check(|r| r.stop = vec![Private::default(); limits::MAX_STOPS + 1], Some("stop"));
    check(|r| r.stop = vec!["x".repeat(limits::MAX_STOP_BYTES + 1).into()], Some("stop"));
    check(|r| r.max_tokens = Some(0), Some("max_tokens"));
    check(|r| r.sampling.temperature = Some(f32::NAN), Some("temperature"));
    check(|r| r.sampling.top_p = Some(0.0), Some("top_p"));
    check(|r| r.sampling.min_p = Some(-0.1), Some("min_p"));
    check(|r| r.sampling.repetition_penalty = Some(f32::INFINITY), Some("repetition_penalty"));
    check(|r| r.sampling.frequency_penalty = Some(2.1), Some("frequency_penalty"));
    check(|r| r.sampling.presence_penalty = Some(f32::NAN), Some("presence_penalty"));
    check(|r| r.sampling.logit_bias = vec![Bias { token: 1, bias: -100.5 }], Some("logit_bias"));
    let bias = Bias { token: 1, bias: 1.0 };
    check(|r| r.sampling.logit_bias = vec![bias; limits::MAX_LOGIT_BIAS + 1], Some("logit_bias"));
    check(|r| r.sampling.top_logprobs = Some(21), Some("top_logprobs"));
    check(|r| r.prefixes = vec![0; limits::MAX_MESSAGES + 1], Some("prefixes"));
    check(|r| r.tools = Some("x".repeat(limits::MAX_PROMPT_BYTES).into()), Some("messages"));
    let schema = "x".repeat(limits::MAX_SCHEMA_BYTES + 1);
    check(|r| r.format = Some(Format::Schema(schema.into())), Some("response_format"));
    check(|r| r.messages[0].tool_calls = Some("x".repeat(limits::MAX_PROMPT_BYTES).into()), Some("messages"));
}

#[test]
fn a_raw_prompt_stands_in_place_of_messages() {
    let text = |text: String| Some(RawPrompt::Text(text.into()));
    let tokens = |count| Some(RawPrompt::Tokens(PrivateTokens(vec![u32::MAX; count])));
    check(|r| r.raw = text("hi".into()), Some("prompt"));
    let raw = |prompt: Option<RawPrompt>, field| check(|r| (r.messages, r.raw) = (vec![], prompt), field);
    raw(text("hi".into()), None);
    raw(text(String::new()), Some("prompt"));
    raw(text("x".repeat(limits::MAX_PROMPT_BYTES)), None);
    raw(text("x".repeat(limits::MAX_PROMPT_BYTES + 1)), Some("prompt"));
    raw(tokens(0), Some("prompt"));
    raw(tokens(limits::MAX_PROMPT_TOKENS), None);
    raw(tokens(limits::MAX_PROMPT_TOKENS + 1), Some("prompt"));
    let chat = Chat { raw: tokens(limits::MAX_PROMPT_TOKENS), ..Chat::default() };
    let request = JobRequest { task: Task::Chat(chat), ..request() };
    assert!(crate::frame::encode(&request).len() < limits::MAX_REQUEST_FRAME);
    assert!(!format!("{request:?}").contains("4294967295"), "what it says is nobody's business");
}

#[test]
fn texts_to_embed_are_bounded() {
    let validate = |texts: Vec<Private>| JobRequest { task: Task::Embed(texts), ..request() }.validate();
    assert!(validate(vec!["a".to_owned().into(); limits::MAX_TEXTS]).is_ok());
    assert!(validate(vec![]).is_err());
    assert!(validate(vec!["a".to_owned().into(); limits::MAX_TEXTS + 1]).is_err());
    assert!(validate(vec!["x".repeat(limits::MAX_PROMPT_BYTES + 1).into()]).is_err());
}

#[test]
fn a_vector_is_whole_finite_numbers() {
    let vector = Vector::new(3, &[0.5, -1.0]);
    assert_eq!(minicbor::decode::<Vector>(&minicbor::to_vec(&vector).unwrap()).unwrap(), vector);
    assert_eq!(vector.floats(), Some(vec![0.5, -1.0]));
    for bad in [vec![], vec![1, 2, 3], vec![0, 0, 0, 0, 1], f32::NAN.to_le_bytes().to_vec()] {
        assert_eq!(Vector { index: 0, values: bad }.floats(), None);
    }
}

#[test]
fn a_status_claims_no_more_than_it_may() {
    let offer = Offer { slots: 2, slots_free: 2, ..Offer::new(ModelId::new([1; 32]), "m") };
    let status = |offer: Offer| Status { offers: vec![offer], ..Status::default() };
    assert_eq!(status(offer.clone()).validate(), Ok(()));
    for bad in [
        Offer { slots_free: 3, ..offer.clone() },
        Offer { slots: limits::MAX_SLOTS + 1, ..offer.clone() },
        Offer { name: "x".repeat(limits::MAX_MODEL_NAME_BYTES + 1), ..offer.clone() },
        Offer { name: "line\nbreak".into(), ..offer.clone() },
        Offer { decode_tokens_per_second: f32::NAN, ..offer.clone() },
        Offer { prefixes: vec![0; limits::MAX_HELD_PREFIXES + 1], ..offer.clone() },
        Offer { trouble: "x".repeat(limits::MAX_REASON_BYTES + 1), ..offer.clone() },
        Offer { dimensions: u32::MAX, ..offer.clone() },
    ] {
        assert!(status(bad.clone()).validate().is_err(), "{bad:?}");
    }
    let many = Status { offers: vec![offer; limits::MAX_OFFERS + 1], ..Status::default() };
    assert!(many.validate().is_err());
}

#[test]
fn what_a_node_can_load_is_bounded() {
    let model = Loadable { seconds: 9, loading: Some(400), ..Loadable::new(ModelId::new([1; 32]), "m") };
    let status = |model: Loadable| Status { loadable: vec![model], ..Status::default() };
    assert_eq!(status(model.clone()).validate(), Ok(()));
    for bad in [
        Loadable { name: String::new(), ..model.clone() },
        Loadable { name: "x".repeat(limits::MAX_MODEL_NAME_BYTES + 1), ..model.clone() },
        Loadable { name: "line\nbreak".into(), ..model.clone() },
        Loadable { loading: Some(limits::WHOLE_LOAD + 1), ..model.clone() },
        Loadable { seconds: limits::MAX_LOAD_SECONDS + 1, ..model.clone() },
        Loadable { dimensions: u32::MAX, ..model.clone() },
        Loadable { trouble: "x".repeat(limits::MAX_REASON_BYTES + 1), ..model.clone() },
    ] {
        assert!(status(bad.clone()).validate().is_err(), "{bad:?}");
    }
    let most = Status { loadable: vec![model.clone(); limits::MAX_LOADABLE], ..Status::default() };
    assert_eq!(most.validate(), Ok(()));
    let more = Status { loadable: vec![model; limits::MAX_LOADABLE + 1], ..Status::default() };
    assert!(more.validate().is_err());
}

#[test]
fn a_pause_is_bounded_and_one_of_a_later_release_is_read_too() {
    let paused =
        |kind, seconds| Status { paused: Some(Paused { kind, seconds, returning: true }), ..Status::default() };
    for kind in [PauseKind::ByHand, PauseKind::Schedule] {
        let status = paused(kind, Some(limits::MAX_PAUSE_SECONDS));
        assert_eq!(status.validate(), Ok(()));
        assert_eq!(minicbor::decode::<Status>(&minicbor::to_vec(&status).unwrap()).unwrap(), status);
    }
    assert!(paused(PauseKind::Other, Some(limits::MAX_PAUSE_SECONDS + 1)).validate().is_err());
    #[derive(minicbor::Encode)]
    #[cbor(map)]
    struct Later {
        #[n(0)]
        kind: u32,
        #[n(1)]
        seconds: Option<u32>,
    }
    let later = minicbor::to_vec(Later { kind: 4_000_000_000, seconds: None }).unwrap();
    let read: Paused = minicbor::decode(&later).unwrap();
    assert_eq!(read, Paused { kind: PauseKind::Other, seconds: None, returning: false });
}

#[test]
fn a_status_of_an_older_node_loads_nothing() {
    #[derive(Encode)]
    #[cbor(map)]
    struct Older {
        #[n(0)]
        name: &'static str,
        #[n(1)]
        version: &'static str,
        #[n(2)]
        device: &'static str,
        #[n(3)]
        offers: Vec<Offer>,
        #[n(4)]
        stopping: bool,
    }
    let older = Older { name: "n", version: "0", device: "CPU", offers: vec![], stopping: false };
    let status: Status = minicbor::decode(&minicbor::to_vec(older).unwrap()).unwrap();
    assert_eq!(status.loadable, []);
}

#[test]
fn a_reader_ignores_fields_it_does_not_know() {
    #[derive(Encode)]
    #[cbor(map)]
    struct Later {
        #[n(0)]
        seq: u64,
        #[n(1)]
        tokens: Vec<u32>,
        #[n(2)]
        text: String,
        #[n(9)]
        news: Vec<String>,
    }
    let later = Later { seq: 3, tokens: vec![1], text: "a".into(), news: vec!["b".into()] };
    let piece: Piece = minicbor::decode(&minicbor::to_vec(later).unwrap()).unwrap();
    assert_eq!(piece, Piece { seq: 3, tokens: vec![1], text: Private("a".into()), logprobs: vec![] });
}

#[test]
fn what_people_say_stays_out_of_debug_output() {
    let mut request = request();
    let marked = || Some(Private("a marked secret".to_owned()));
    let message = ChatMessage { reasoning: marked(), tool_calls: marked(), ..ChatMessage::new(Role::User, "marked") };
    let stop = vec!["a marked stop".to_owned().into()];
    request.task = Task::Chat(Chat { messages: vec![message], stop, tools: marked(), ..Chat::default() });
    assert!(!format!("{request:?}").contains("marked"));
}

#[test]
fn orders_read_back_and_fit_their_bound() {
    for order in [JobOrder::End, JobOrder::Received(0), JobOrder::Received(u64::MAX)] {
        let bytes = minicbor::to_vec(order).unwrap();
        assert!(bytes.len() <= limits::MAX_ORDER_FRAME);
        assert_eq!(minicbor::decode::<JobOrder>(&bytes).unwrap(), order);
    }
}
