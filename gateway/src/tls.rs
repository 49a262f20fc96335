//! TLS of the gateway's own, for one that stands on the internet without a proxy: the certificate's files, and how a
//! renewed certificate takes the place of the old one without a restart.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use thiserror::Error;
use tokio::{
    net::TcpStream,
    sync::watch,
    time::{MissedTickBehavior, interval, timeout},
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        self, ServerConfig,
        crypto::aws_lc_rs,
        pki_types::{CertificateDer, PrivateKeyDer, pem, pem::PemObject},
    },
    server::TlsStream,
};
use tokio_util::sync::CancellationToken;

/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// How long a handshake may take: a stranger who says nothing holds a place no longer.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// Where the certificate lies. Both files are PEM; the first holds the whole chain, the gateway's own first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate chain.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// Why there is no TLS.
#[derive(Debug, Error)]
pub enum TlsError {
    /// A file cannot be read as what it should be.
    #[error("{path} cannot be read as PEM: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: pem::Error,
    },
    /// The first file holds no certificate.
    #[error("{0} holds no certificate")]
    Empty(PathBuf),
    /// The two do not belong together, or are of a kind that is not known.
    #[error("the certificate and its key cannot be used: {0}")]
    Unusable(#[from] rustls::Error),
}

/// What connections are served with. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Tls {
    config: watch::Receiver<Arc<ServerConfig>>,
}

/// Keeps it up to date.
pub(crate) struct Reloader {
    files: TlsFiles,
    seen: Seen,
    config: watch::Sender<Arc<ServerConfig>>,
}

/// How the two files were when they were last looked at.
type Seen = [Option<(SystemTime, u64)>; 2];

/// Reads the files.
///
/// # Errors
/// See [`TlsError`].
pub(crate) fn open(files: TlsFiles) -> Result<(Tls, Reloader), TlsError> {
    let seen = look(&files);
    let (sender, config) = watch::channel(load(&files)?);
    Ok((Tls { config }, Reloader { files, seen, config: sender }))
}

impl Tls {
    /// Makes a connection secret.
    ///
    /// # Errors
    /// When the other side does not speak TLS, or takes too long.
    pub(crate) async fn accept(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        let config = Arc::clone(&self.config.borrow());
        let accepted = timeout(HANDSHAKE, TlsAcceptor::from(config).accept(stream)).await;
        accepted.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl Reloader {
    /// Runs until `stop`.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        let mut ticks = interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while stop.run_until_cancelled(ticks.tick()).await.is_some() {
            self.check();
        }
    }

    /// Takes what is new. Files that are half written, or wrong, leave the old certificate in place: they are tried
    /// again when they change.
    fn check(&mut self) {
        let now = look(&self.files);
        if now == self.seen {
            return;
        }
        self.seen = now;
        match load(&self.files) {
            Ok(config) => {
                self.config.send_replace(config);
                tracing::info!("the TLS certificate was read anew");
            }
            Err(error) => tracing::warn!(%error, "the changed TLS certificate is not used; the one before still is"),
        }
    }
}

fn look(files: &TlsFiles) -> Seen {
    let one = |path: &Path| fs::metadata(path).ok().and_then(|file| Some((file.modified().ok()?, file.len())));
    [one(&files.certificate), one(&files.key)]
}

fn load(TlsFiles { certificate, key }: &TlsFiles) -> Result<Arc<ServerConfig>, TlsError> {
    let unreadable = |path: &Path| {
        let path = path.to_owned();
        move |source| TlsError::File { path, source }
    };
    let chain: Vec<CertificateDer<'static>> =
        CertificateDer::pem_file_iter(certificate).and_then(Iterator::collect).map_err(unreadable(certificate))?;
    if chain.is_empty() {
        return Err(TlsError::Empty(certificate.clone()));
    }
    let key = PrivateKeyDer::from_pem_file(key).map_err(unreadable(key))?;
    // Named, for libp2p brings another provider along and rustls would not choose.
    let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

#[cfg(test)]
mod tests;
