//! Who gave an answer, and how long that took until its first token: in the headers as far as it is known when they go
//! out, and in the last events of a stream.

use std::time::Duration;

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use serde::Serialize;
use utoipa::ToSchema;

use crate::dispatch::Placement;

const NODE: HeaderName = HeaderName::from_static("x-starling-node");
const DEVICE: HeaderName = HeaderName::from_static("x-starling-device");
const PEER: HeaderName = HeaderName::from_static("x-starling-peer");
const QUEUE: HeaderName = HeaderName::from_static("x-starling-queue-ms");
const FIRST_TOKEN: HeaderName = HeaderName::from_static("x-starling-first-token-ms");

/// What is known of an answer. Clients of OpenAI's API pass over fields that they do not know.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = AnswerFacts)]
pub(super) struct Facts {
    /// What its owner calls the node.
    node: String,
    /// The node's key.
    peer: String,
    /// What computes there.
    device: String,
    /// From the request to its slot, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    queue_ms: Option<u64>,
    /// From the request to the first token.
    #[serde(skip_serializing_if = "Option::is_none")]
    first_token_ms: Option<u64>,
}

impl Facts {
    pub(super) fn new(placement: &Placement, queue: Option<Duration>, first_token: Option<Duration>) -> Self {
        let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        Self {
            node: placement.node_name.clone(),
            peer: placement.peer.to_string(),
            device: placement.device.clone(),
            queue_ms: queue.map(ms),
            first_token_ms: first_token.map(ms),
        }
    }

    /// The same as headers.
    pub(super) fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in [(NODE, &self.node), (DEVICE, &self.device), (PEER, &self.peer)] {
            // A node and its device may be called anything; what no header can hold is left out.
            if let Ok(value) = HeaderValue::from_bytes(value.as_bytes()) {
                headers.insert(name, value);
            }
        }
        for (name, ms) in [(QUEUE, self.queue_ms), (FIRST_TOKEN, self.first_token_ms)] {
            headers.extend(ms.map(|ms| (name, HeaderValue::from(ms))));
        }
        headers
    }
}
