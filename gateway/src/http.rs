//! The HTTP server under the routes: connections, and how long they may take.
//!
//! Written out over hyper for what a public server needs and `axum::serve` has not: a bound on the
//! number of connections, a limit on how long headers may take, and an orderly end.

use std::{convert::Infallible, io, net::SocketAddr, sync::Arc, time::Duration};

use axum::{Router, body::Body};
use hyper::{Request, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpSocket, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{sleep, timeout},
};
use tower::ServiceExt;

use crate::{api::auth::ClientAddress, life::Life, tls::Tls};

/// Connections at once: with 16 KiB of buffers each, 128 MiB at the worst.
const MAX_CONNECTIONS: usize = 8_192;
/// How long a request's headers may take, and how long a connection may wait for its next request.
const HEADER_TIMEOUT: Duration = Duration::from_secs(60);
/// Headers of one request.
const MAX_HEADERS: usize = 100;
/// How long a cut answer may take to say that it was cut.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// The wait after a connection could not be accepted: out of files, mostly, and better in a moment.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);

/// Connections that the system holds until they are accepted. With the usual 128, a burst of 256 left
/// half of them to TCP's retry, a second later.
const BACKLOG: u32 = 1_024;

/// Binds and listens. Call it inside the runtime.
pub(crate) fn listen(at: SocketAddr) -> io::Result<TcpListener> {
    let socket = if at.is_ipv6() { TcpSocket::new_v6() } else { TcpSocket::new_v4() }?;
    // A restarted gateway finds its port again; on Windows this would let others take it.
    #[cfg(unix)]
    socket.set_reuseaddr(true)?;
    socket.bind(at)?;
    socket.listen(BACKLOG)
}

/// Accepts connections until `life.cancel`; each becomes a task of `life`. Who comes during the drain is told so, and is
/// not waited for. With `tls` only who speaks TLS is heard.
pub(crate) async fn serve(listener: TcpListener, tls: Option<Tls>, router: Router, life: Life) {
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        // A place first: who finds none waits in the system's queue.
        let next = async {
            let place = Arc::clone(&places).acquire_owned().await;
            (place, listener.accept().await)
        };
        let (place, accepted) = tokio::select! {
            () = life.cancel.cancelled() => return,
            next = next => next,
        };
        match (place, accepted) {
            (Ok(place), Ok((stream, from))) => {
                let connection = open(stream, tls.clone(), from, router.clone(), life.clone(), place);
                if life.drain.is_cancelled() {
                    tokio::spawn(connection);
                } else {
                    life.tasks.spawn(connection);
                }
            }
            (_, Err(error)) => {
                tracing::warn!(%error, "a connection was not accepted");
                sleep(ACCEPT_AGAIN).await;
            }
            (Err(_), _) => return,
        }
    }
}

async fn open(
    stream: TcpStream,
    tls: Option<Tls>,
    from: SocketAddr,
    router: Router,
    life: Life,
    _place: OwnedSemaphorePermit,
) {
    // A token must not wait until there is enough for a packet.
    let _ = stream.set_nodelay(true);
    let Some(tls) = tls else { return connection(stream, from, router, life).await };
    match life.cancel.run_until_cancelled(tls.accept(stream)).await {
        Some(Ok(stream)) => connection(stream, from, router, life).await,
        Some(Err(error)) => tracing::debug!(%error, "a TLS handshake failed"),
        None => {}
    }
}

async fn connection<S>(stream: S, from: SocketAddr, router: Router, life: Life)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(move |request: Request<Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(ClientAddress(from.ip()));
        let router = router.clone();
        async move { Ok::<_, Infallible>(router.oneshot(request).await.unwrap_or_else(|never| match never {})) }
    });
    // Who comes during the drain is answered, once: closed before their first word, they would not know why.
    let late = life.drain.is_cancelled();
    let leaves = if late { life.cancel.clone() } else { life.drain.clone() };
    let connection = http1::Builder::new()
        .keep_alive(!late)
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_headers(MAX_HEADERS)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    tokio::pin!(connection);
    tokio::select! {
        result = connection.as_mut() => return said(result),
        () = leaves.cancelled() => connection.as_mut().graceful_shutdown(),
    }
    tokio::select! {
        result = connection.as_mut() => return said(result),
        () = life.cancel.cancelled() => {}
    }
    if let Ok(result) = timeout(LAST_WORDS, connection).await {
        said(result);
    }
}

fn said(result: Result<(), hyper::Error>) {
    if let Err(error) = result {
        tracing::debug!(%error, "a connection broke");
    }
}
