//! Every body of `/v1`, read and checked as its endpoint does it.

use starling_protocol::{ModelId, message::Task};

use super::{
    chat::request::ChatRequest,
    completions::CompletionRequest,
    embeddings::{self, EmbeddingsRequest},
    responses::ResponsesRequest,
};
use crate::{
    api::entries::{checked, read},
    id::UserId,
};

/// Whether it is one of them.
pub(in crate::api) fn taken(data: &[u8]) -> bool {
    let (model, owner) = (ModelId::new([0; 32]), UserId::generate());
    let chat = read::<ChatRequest>(data).and_then(|body| checked(body.check()));
    let completion = read::<CompletionRequest>(data).and_then(|body| checked(body.check()));
    let response = read::<ResponsesRequest>(data).and_then(|body| checked(body.check()));
    let orders = [
        chat.map(|asked| asked.order(model, owner)),
        completion.map(|asked| asked.order(model, owner)),
        response.map(|asked| asked.order(model, owner)),
    ];
    let mut any = read::<EmbeddingsRequest>(data).and_then(|body| checked(embeddings::texts(body.input))).is_some();
    for job in orders.into_iter().flatten().flat_map(|order| order.jobs) {
        let Task::Chat(chat) = &job.task else { panic!("a job of another kind") };
        // What was let in here is let in by every node.
        assert_eq!(chat.validate(), Ok(()));
        any = true;
    }
    any
}
