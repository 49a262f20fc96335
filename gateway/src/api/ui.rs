//! The web page, out of the binary.

use axum::{
    body::Body,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use rust_embed::{EmbeddedFile, RustEmbed};

/// What `npm run build` has made; the build script sees to it that the folder is there.
#[derive(RustEmbed)]
#[folder = "../ui/dist"]
struct Built;

const PAGE: &str = "index.html";
/// These carry a hash in their name: what is under a name never changes.
const FOREVER: &str = "public, max-age=31536000, immutable";
/// Kept, but asked for again each time; the answer is then mostly "not modified".
const ASK: &str = "no-cache";
const MISSING: &str = "This build of the gateway has no web page in it. Build it with:\n\n    \
    npm --prefix ui ci && npm --prefix ui run build && cargo build --release -p starling-gateway\n\n\
    (or `cargo xtask up`, which does all of it). The API under /api and /v1 is there.\n";

/// The file at a path; for a path that is a place within the page, the page.
pub(super) fn file(path: &str, request: &HeaderMap) -> Response {
    let name = path.trim_start_matches('/');
    if let Some(file) = Built::get(name).filter(|_| !name.is_empty()) {
        return send(name, &file, request);
    }
    let names_a_file = name.rsplit('/').next().is_some_and(|last| last.contains('.'));
    if names_a_file || name.starts_with("assets/") {
        return (StatusCode::NOT_FOUND, "There is no such file.\n").into_response();
    }
    match Built::get(PAGE) {
        Some(file) => send(PAGE, &file, request),
        None => (StatusCode::SERVICE_UNAVAILABLE, MISSING).into_response(),
    }
}

fn send(name: &str, file: &EmbeddedFile, request: &HeaderMap) -> Response {
    let tag = tag(&file.metadata.sha256_hash());
    let keep = HeaderValue::from_static(if name.starts_with("assets/") { FOREVER } else { ASK });
    let headers = [(header::ETAG, tag.clone()), (header::CACHE_CONTROL, keep)];
    if request.get(header::IF_NONE_MATCH) == Some(&tag) {
        return (StatusCode::NOT_MODIFIED, headers).into_response();
    }
    let kind = mime_guess::from_path(name).first_or_octet_stream();
    let kind = if kind.type_() == mime_guess::mime::TEXT || kind.subtype() == "javascript" {
        format!("{}; charset=utf-8", kind.essence_str())
    } else {
        kind.essence_str().to_owned()
    };
    (headers, [(header::CONTENT_TYPE, kind)], Body::from(file.data.clone())).into_response()
}

/// A strong ETag: the same bytes, by their SHA-256.
pub(super) fn tag(sha256: &[u8; 32]) -> HeaderValue {
    let digits: String = sha256[..16].iter().map(|byte| format!("{byte:02x}")).collect();
    HeaderValue::try_from(format!("\"{digits}\"")).expect("a hash in hexadecimal digits")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_within_the_page_are_the_page() {
        let none = HeaderMap::new();
        let built = Built::get(PAGE).is_some();
        for path in ["/", "/c/some-conversation", "/keys"] {
            let response = file(path, &none);
            let expected = if built { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
            assert_eq!(response.status(), expected, "{path}");
        }
        for path in ["/missing.js", "/assets/missing", "/../Cargo.toml", "/assets/../../Cargo.toml"] {
            assert_eq!(file(path, &none).status(), StatusCode::NOT_FOUND, "{path}");
        }
    }

    #[test]
    fn every_file_can_be_kept() {
        for name in Built::iter() {
            let response = file(&format!("/{name}"), &HeaderMap::new());
            assert_eq!(response.status(), StatusCode::OK, "{name}");
            let keep = response.headers()[header::CACHE_CONTROL].to_str().unwrap();
            assert_eq!(keep == FOREVER, name.starts_with("assets/"), "{name}");
            let mut again = HeaderMap::new();
            again.insert(header::IF_NONE_MATCH, response.headers()[header::ETAG].clone());
            assert_eq!(file(&format!("/{name}"), &again).status(), StatusCode::NOT_MODIFIED, "{name}");
        }
    }
}
