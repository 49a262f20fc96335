//! A hub of one repository, on loopback, that misbehaves as it is told.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{Path, State},
    http::{HeaderMap, Response, StatusCode, Uri},
    routing::get,
};
use futures::{StreamExt, stream};
use reqwest::Url;
use sha2::{Digest, Sha256};

/// Bytes in one chunk of a body.
const CHUNK: usize = 64 << 10;

/// How the server behaves; changed between two requests.
#[derive(Clone)]
pub(super) struct Manners {
    pub(super) content: Bytes,
    pub(super) etag: Option<&'static str>,
    pub(super) ranges: bool,
    pub(super) says_length: bool,
    /// Breaks the next body off after that many bytes.
    pub(super) cut: Option<usize>,
    /// Falls silent after that many bytes of every body.
    pub(super) silent_after: Option<usize>,
    /// Answers the next request with this.
    pub(super) status: Option<StatusCode>,
    /// Sends files from there instead.
    pub(super) redirect: Option<String>,
    /// What its list says where it lies.
    pub(super) listed_bytes: Option<u64>,
    pub(super) listed_sha256: Option<String>,
}

/// What was asked.
#[derive(Clone, Debug, Default)]
pub(super) struct Asked {
    pub(super) range: Option<String>,
    pub(super) if_range: Option<String>,
    pub(super) token: Option<String>,
}

#[derive(Clone)]
struct Shared {
    manners: Arc<Mutex<Manners>>,
    asked: Arc<Mutex<Vec<Asked>>>,
    sent: Arc<Mutex<usize>>,
}

/// A running server; it ends with the test's runtime.
pub(super) struct Server {
    pub(super) url: Url,
    shared: Shared,
}

impl Server {
    pub(super) async fn start(content: impl Into<Bytes>) -> Self {
        let manners = Manners {
            content: content.into(),
            etag: Some("\"one\""),
            ranges: true,
            says_length: true,
            cut: None,
            silent_after: None,
            status: None,
            redirect: None,
            listed_bytes: None,
            listed_sha256: None,
        };
        let shared = Shared { manners: Arc::new(Mutex::new(manners)), asked: Arc::default(), sent: Arc::default() };
        let routes = Router::new()
            .route("/api/models/o/r/tree/main", get(list))
            .route("/o/r/resolve/main/{*file}", get(file))
            .route("/files/{*file}", get(file))
            .with_state(shared.clone());
        let listener = tokio::net::TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
        tokio::spawn(async move { axum::serve(listener, routes).await });
        Self { url, shared }
    }

    pub(super) fn set(&self, change: impl FnOnce(&mut Manners)) {
        change(&mut self.shared.manners.lock().unwrap());
    }

    /// Every request for a file so far.
    pub(super) fn asked(&self) -> Vec<Asked> {
        self.shared.asked.lock().unwrap().clone()
    }

    /// Bytes of bodies so far.
    pub(super) fn sent(&self) -> usize {
        *self.shared.sent.lock().unwrap()
    }
}

async fn list(State(shared): State<Shared>, headers: HeaderMap) -> Response<Body> {
    shared.note(&headers);
    let manners = shared.manners.lock().unwrap().clone();
    if let Some(status) = shared.next_status() {
        return empty(status);
    }
    let bytes = manners.listed_bytes.unwrap_or(manners.content.len() as u64);
    let sha256 = manners.listed_sha256.unwrap_or_else(|| hex(&manners.content));
    let lfs = format!(r#"{{"oid":"{sha256}","size":{bytes},"pointerSize":134}}"#);
    let model = |name: &str| format!(r#"{{"type":"file","oid":"1","size":{bytes},"path":"{name}","lfs":{lfs}}}"#);
    let readme =
        r#"{"type":"file","oid":"1","size":5,"path":"README.md"},{"type":"directory","oid":"1","size":0,"path":"d"}"#;
    Response::new(Body::from(format!("[{readme},{},{}]", model("m-Q8_0.gguf"), model("m-Q4_K_M.gguf"))))
}

async fn file(State(shared): State<Shared>, Path(name): Path<String>, uri: Uri, headers: HeaderMap) -> Response<Body> {
    shared.note(&headers);
    if let Some(status) = shared.next_status() {
        return empty(status);
    }
    let manners = shared.manners.lock().unwrap().clone();
    if let Some(place) = &manners.redirect
        && !uri.path().starts_with("/files")
    {
        let place = format!("{place}{name}");
        return Response::builder().status(302).header("location", place).body(Body::empty()).unwrap();
    }
    let total = manners.content.len();
    let from = headers.get("range").filter(|_| manners.ranges).map_or(0, |range| {
        let same = headers.get("if-range").is_none_or(|mark| manners.etag.is_some_and(|etag| mark == etag));
        let from = range.to_str().unwrap().trim_start_matches("bytes=").trim_end_matches('-').parse().unwrap();
        if same { from } else { 0 }
    });
    if from > 0 && from >= total {
        return empty(StatusCode::RANGE_NOT_SATISFIABLE);
    }
    let mut answer = Response::builder().status(if from > 0 { 206 } else { 200 });
    if from > 0 {
        answer = answer.header("content-range", format!("bytes {from}-{}/{total}", total - 1));
    }
    if manners.says_length {
        answer = answer.header("content-length", total - from);
    }
    if let Some(etag) = manners.etag {
        answer = answer.header("etag", etag);
    }
    answer.body(shared.body(&manners, from)).unwrap()
}

impl Shared {
    fn note(&self, headers: &HeaderMap) {
        let text = |name| headers.get(name).map(|value| value.to_str().unwrap().to_owned());
        let (range, if_range, token) = (text("range"), text("if-range"), text("authorization"));
        self.asked.lock().unwrap().push(Asked { range, if_range, token });
    }

    fn next_status(&self) -> Option<StatusCode> {
        self.manners.lock().unwrap().status.take()
    }

    fn body(&self, manners: &Manners, from: usize) -> Body {
        let cut = self.manners.lock().unwrap().cut.take();
        let sent = self.sent.clone();
        let content = manners.content.slice(from..);
        let end = cut.or(manners.silent_after).unwrap_or(content.len()).min(content.len());
        let chunks: Vec<Bytes> = (0..end).step_by(CHUNK).map(|at| content.slice(at..end.min(at + CHUNK))).collect();
        let whole = stream::iter(chunks).then(move |chunk| {
            *sent.lock().unwrap() += chunk.len();
            async { Ok(chunk) }
        });
        let silent = manners.silent_after.is_some();
        let after = stream::once(async move {
            if silent {
                std::future::pending::<()>().await;
            }
            // What was written before an error is otherwise lost with the connection.
            tokio::time::sleep(Duration::from_millis(100)).await;
            Err(std::io::Error::other("cut"))
        });
        if cut.is_some() || silent { Body::from_stream(whole.chain(after)) } else { Body::from_stream(whole) }
    }
}

fn empty(status: StatusCode) -> Response<Body> {
    Response::builder().status(status).body(Body::empty()).unwrap()
}

pub(super) fn hex(content: &[u8]) -> String {
    Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect()
}
