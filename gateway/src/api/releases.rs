//! What a new machine asks for: the scripts that install a node, the signed manifest, and the packages it names.
//!
//! Anybody may have them. A package is read piece by piece while it is sent, goes on from where a download broke off
//! (`Range`, RFC 9110), and has a place for as long as it takes: so many of all, and of one network.

use std::{fs::File, io::SeekFrom, net::IpAddr, ops::Range, time::Duration};

use axum::{
    body::{Body, Bytes},
    extract::{Path, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    response::{IntoResponse, Response},
};
use starling_protocol::release::{MANIFEST, SIGNATURE};
use tokio::{
    io::{AsyncReadExt, AsyncSeekExt},
    sync::mpsc,
    time::timeout,
};
use tokio_stream::wrappers::ReceiverStream;

use super::{
    auth::Address,
    error::ApiError,
    sockets::{Counts, Place},
    ui,
};
use crate::{
    app::App,
    limiter::network,
    releases::{NoRelease, Release, Script},
};

/// Packages on their way at one time, and of one network: a household that sets up some machines.
const MAX_DOWNLOADS: usize = 64;
const MAX_DOWNLOADS_PER_NETWORK: usize = 8;
/// How much of a package is read at once, and how many such pieces wait for a slow reader.
const PIECE: usize = 64 << 10;
const QUEUE: usize = 2;
/// How long a reader may take nothing.
const PATIENCE: Duration = Duration::from_secs(60);

const PLAIN: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
/// Kept, but asked for again each time.
const ASK: HeaderValue = HeaderValue::from_static("no-cache");

/// Counts packages on their way. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Downloads(Counts<IpAddr>);

impl Downloads {
    /// Room for one more.
    pub(super) fn place(&self, from: IpAddr) -> Result<Place<IpAddr>, ApiError> {
        let place = self.0.enter(network(from), MAX_DOWNLOADS_PER_NETWORK, MAX_DOWNLOADS);
        place.ok_or(ApiError::TooManyDownloads)
    }
}

/// `GET /install.sh`
#[utoipa::path(
    get,
    path = "/install.sh",
    summary = "The script that makes a Linux machine a node",
    responses(
        (status = 200, description = "A script for POSIX sh", body = String, content_type = "text/plain"),
        (status = 404, description = "There is none; the text says what the operator can do", body = String, content_type = "text/plain"),
        (status = 503, description = "Not yet", body = String, content_type = "text/plain"),
    ),
    security(()),
)]
pub(super) async fn install_sh(State(app): State<App>) -> Response {
    script(&app, Script::Sh)
}

/// `GET /install.ps1`
#[utoipa::path(
    get,
    path = "/install.ps1",
    summary = "The script that makes a Windows machine a node",
    responses(
        (status = 200, description = "A script for PowerShell", body = String, content_type = "text/plain"),
        (status = 404, description = "There is none; the text says what the operator can do", body = String, content_type = "text/plain"),
        (status = 503, description = "Not yet", body = String, content_type = "text/plain"),
    ),
    security(()),
)]
pub(super) async fn install_ps1(State(app): State<App>) -> Response {
    script(&app, Script::PowerShell)
}

/// `GET /releases/{name}`
#[utoipa::path(
    get,
    path = "/releases/{name}",
    summary = "The signed manifest of the release, its signature, or a file that it names",
    params(("name" = String, Path), ("Range" = Option<String>, Header, description = "One range of bytes")),
    responses(
        (status = 200, description = "All of it", content((Vec<u8> = "application/octet-stream"), (serde_json::Value = "application/json"), (String = "text/plain"))),
        (status = 206, description = "The part that was asked for", body = Vec<u8>, content_type = "application/octet-stream"),
        (status = 304, description = "The asker has it"),
        (status = 404, description = "There is none of that name", body = String, content_type = "text/plain"),
        (status = 416, description = "It is shorter"),
        (status = 503, description = "Not yet", body = String, content_type = "text/plain"),
    ),
    security(()),
)]
pub(super) async fn file(
    State(app): State<App>,
    from: Address,
    Path(name): Path<String>,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let release = match app.releases.current() {
        Ok(release) => release,
        Err(why) => return Ok(none(&why)),
    };
    match name.as_str() {
        MANIFEST => Ok(document("application/json", release.document.clone())),
        SIGNATURE => Ok(document("text/plain; charset=utf-8", release.signature.clone().into_bytes())),
        name => package(&app, &release, name, from, &method, &headers),
    }
}

fn script(app: &App, script: Script) -> Response {
    match app.releases.script(script) {
        Ok(text) => document("text/plain; charset=utf-8", text.into_bytes()),
        Err(why) => none(&why),
    }
}

fn document(kind: &'static str, bytes: Vec<u8>) -> Response {
    ([(header::CONTENT_TYPE, HeaderValue::from_static(kind)), (header::CACHE_CONTROL, ASK)], bytes).into_response()
}

/// A comment in either shell: whoever pipes it into one has nothing run.
fn none(why: &NoRelease) -> Response {
    let status = if *why == NoRelease::Looking { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::NOT_FOUND };
    let mut response = (status, [(header::CONTENT_TYPE, PLAIN)], format!("# {why}\n")).into_response();
    if status == StatusCode::SERVICE_UNAVAILABLE {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
    }
    response
}

fn package(
    app: &App,
    release: &Release,
    name: &str,
    Address(from): Address,
    method: &Method,
    headers: &HeaderMap,
) -> Result<Response, ApiError> {
    let (file, entry) = match release.open(name) {
        Ok(Some(found)) => found,
        Ok(None) => {
            let text = "# The release has no file of that name; release.json names them.\n";
            return Ok((StatusCode::NOT_FOUND, [(header::CONTENT_TYPE, PLAIN)], text).into_response());
        }
        Err(error) => {
            tracing::warn!(%error, file = name, "a file of the release cannot be served");
            return Ok(none(&NoRelease::Looking));
        }
    };
    let tag = ui::tag(&entry.sha256);
    let head = [
        (header::ETAG, tag.clone()),
        (header::CACHE_CONTROL, ASK),
        (header::ACCEPT_RANGES, HeaderValue::from_static("bytes")),
        (header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream")),
        (header::CONTENT_DISPOSITION, HeaderValue::from_static("attachment")),
    ];
    if headers.get(header::IF_NONE_MATCH) == Some(&tag) {
        return Ok((StatusCode::NOT_MODIFIED, head).into_response());
    }
    let (status, range) = match asked(headers, &tag, entry.bytes) {
        Asked::All => (StatusCode::OK, 0..entry.bytes),
        Asked::Part(range) => (StatusCode::PARTIAL_CONTENT, range),
        Asked::Beyond => {
            let length = format!("bytes */{}", entry.bytes);
            return Ok((StatusCode::RANGE_NOT_SATISFIABLE, head, [(header::CONTENT_RANGE, length)]).into_response());
        }
    };
    let length = HeaderValue::from(range.end - range.start);
    let place = format!("bytes {}-{}/{}", range.start, range.end - 1, entry.bytes);
    let body = match *method {
        Method::HEAD => Body::empty(),
        _ => feed(app, file, range, app.downloads.place(from)?),
    };
    let mut response = (status, head, [(header::CONTENT_LENGTH, length)], body).into_response();
    if status == StatusCode::PARTIAL_CONTENT
        && let Ok(place) = HeaderValue::try_from(place)
    {
        response.headers_mut().insert(header::CONTENT_RANGE, place);
    }
    Ok(response)
}

/// Which of a file's bytes are wanted.
#[derive(Debug, PartialEq, Eq)]
enum Asked {
    All,
    Part(Range<u64>),
    Beyond,
}

/// What is no single range of bytes is passed over, as RFC 9110 has it; so is one of another version of the file.
fn asked(headers: &HeaderMap, tag: &HeaderValue, bytes: u64) -> Asked {
    let of_another = headers.get(header::IF_RANGE).is_some_and(|version| version != tag);
    let text = headers.get(header::RANGE).and_then(|range| range.to_str().ok()).filter(|_| !of_another);
    let Some((first, last)) = text.and_then(|text| text.strip_prefix("bytes=")).and_then(|text| text.split_once('-'))
    else {
        return Asked::All;
    };
    let range = match (first.trim().parse::<u64>(), last.trim().parse::<u64>()) {
        (Ok(first), Ok(last)) if first <= last => first..last.saturating_add(1).min(bytes),
        (Ok(first), Err(_)) if last.trim().is_empty() => first..bytes,
        (Err(_), Ok(last)) if first.trim().is_empty() => bytes.saturating_sub(last)..bytes,
        _ => return Asked::All,
    };
    if range.start < range.end { Asked::Part(range) } else { Asked::Beyond }
}

/// The bytes of a file, read while they are taken. A reader who takes nothing for long, or the gateway's end, cuts them
/// short, which the length in the head makes seen.
fn feed(app: &App, file: File, range: Range<u64>, place: Place<IpAddr>) -> Body {
    let (pieces, body) = mpsc::channel::<std::io::Result<Bytes>>(QUEUE);
    let stop = app.life.cancel.clone();
    let sending = async move {
        let _place = place;
        let mut file = tokio::fs::File::from_std(file);
        if let Err(error) = file.seek(SeekFrom::Start(range.start)).await {
            tracing::warn!(%error, "a file of the release cannot be read");
            return;
        }
        let mut rest = file.take(range.end - range.start);
        loop {
            let mut piece = vec![0; PIECE];
            let read = rest.read(&mut piece).await.map(|length| {
                piece.truncate(length);
                Bytes::from(piece)
            });
            let is_last = read.as_ref().map_or(true, Bytes::is_empty);
            let sent = timeout(PATIENCE, pieces.send(read)).await;
            if is_last || !matches!(sent, Ok(Ok(()))) {
                return;
            }
        }
    };
    app.life.tasks.spawn(async move { stop.run_until_cancelled(sending).await });
    Body::from_stream(ReceiverStream::new(body))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(range: &str, expected: Asked) {
        let mut headers = HeaderMap::new();
        headers.insert(header::RANGE, range.parse().unwrap());
        assert_eq!(asked(&headers, &HeaderValue::from_static("\"a\""), 100), expected, "{range}");
    }

    #[test]
    fn one_range_is_understood_and_nothing_else() {
        check("bytes=0-", Asked::Part(0..100));
        check("bytes=40-", Asked::Part(40..100));
        check("bytes=40-49", Asked::Part(40..50));
        check("bytes=40-4000", Asked::Part(40..100));
        check("bytes=99-18446744073709551615", Asked::Part(99..100));
        check("bytes=-10", Asked::Part(90..100));
        check("bytes=-1000", Asked::Part(0..100));
        check("bytes=100-", Asked::Beyond);
        check("bytes=18446744073709551615-", Asked::Beyond);
        check("bytes=-0", Asked::Beyond);
        for odd in [
            "bytes=",
            "bytes=-",
            "bytes=a-b",
            "bytes=5-4",
            "bytes=0-1,5-6",
            "lines=0-1",
            "bytes=1-99999999999999999999",
        ] {
            check(odd, Asked::All);
        }
    }

    #[test]
    fn a_part_of_another_version_is_all_of_this_one() {
        let mut headers = HeaderMap::new();
        headers.insert(header::RANGE, "bytes=5-".parse().unwrap());
        headers.insert(header::IF_RANGE, "\"a\"".parse().unwrap());
        assert_eq!(asked(&headers, &HeaderValue::from_static("\"a\""), 9), Asked::Part(5..9));
        assert_eq!(asked(&headers, &HeaderValue::from_static("\"b\""), 9), Asked::All);
    }
}
