//! Certificates as they come, change and go wrong.

use rcgen::{CertifiedKey, generate_simple_self_signed};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};
use tokio_rustls::{
    TlsConnector,
    rustls::{ClientConfig, RootCertStore, pki_types::ServerName},
};

use super::*;

/// Writes a new certificate for "localhost"; its DER.
fn write(folder: &TempDir) -> (TlsFiles, CertificateDer<'static>) {
    let CertifiedKey { cert, key_pair } = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let files = TlsFiles { certificate: folder.path().join("cert.pem"), key: folder.path().join("key.pem") };
    fs::write(&files.certificate, cert.pem()).unwrap();
    fs::write(&files.key, key_pair.serialize_pem()).unwrap();
    (files, cert.der().clone())
}

/// Whether one who trusts only `trusted` gets through, and what he hears.
async fn talk(tls: &Tls, trusted: &CertificateDer<'static>) -> io::Result<Vec<u8>> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let at = listener.local_addr()?;
    let tls = tls.clone();
    let server = tokio::spawn(async move {
        let (stream, _) = listener.accept().await?;
        let mut stream = tls.accept(stream).await?;
        stream.write_all(b"hello").await?;
        stream.shutdown().await
    });
    let mut roots = RootCertStore::empty();
    roots.add(trusted.clone()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("localhost").unwrap();
    let mut heard = vec![];
    let mut stream = TlsConnector::from(Arc::new(config)).connect(name, TcpStream::connect(at).await?).await?;
    stream.read_to_end(&mut heard).await?;
    server.await.unwrap()?;
    Ok(heard)
}

#[tokio::test]
async fn a_renewed_certificate_is_used_without_a_restart() {
    let folder = TempDir::new().unwrap();
    let (files, first) = write(&folder);
    let (tls, mut reloader) = open(files.clone()).unwrap();
    assert_eq!(talk(&tls, &first).await.unwrap(), b"hello");

    // Half written: the old one stays.
    fs::write(&files.certificate, "-----BEGIN CERT").unwrap();
    reloader.check();
    assert_eq!(talk(&tls, &first).await.unwrap(), b"hello");

    let (_, second) = write(&folder);
    reloader.check();
    assert!(talk(&tls, &first).await.is_err(), "the old certificate is gone");
    assert_eq!(talk(&tls, &second).await.unwrap(), b"hello");
}

#[tokio::test]
async fn who_does_not_speak_tls_is_let_go() {
    let folder = TempDir::new().unwrap();
    let (tls, _reloader) = open(write(&folder).0).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut plain = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    plain.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    let (stream, _) = listener.accept().await.unwrap();
    assert!(tls.accept(stream).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_handshake_has_an_end() {
    let folder = TempDir::new().unwrap();
    let (tls, _reloader) = open(write(&folder).0).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let _silent = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (stream, _) = listener.accept().await.unwrap();
    assert_eq!(tls.accept(stream).await.unwrap_err().kind(), io::ErrorKind::TimedOut);
}

#[test]
fn what_is_no_certificate_is_said() {
    let folder = TempDir::new().unwrap();
    let (files, _) = write(&folder);
    let (other, _) = write(&TempDir::new().unwrap());
    let check = |files: TlsFiles, expected: &str| {
        let error = open(files).err().map(|error| error.to_string()).unwrap_or_default();
        assert!(error.contains(expected), "{error}");
    };
    check(TlsFiles { certificate: other.certificate, key: files.key.clone() }, "cannot be read");
    check(TlsFiles { certificate: files.key.clone(), key: files.key.clone() }, "holds no certificate");
    check(TlsFiles { certificate: files.certificate.clone(), key: files.certificate.clone() }, "cannot be read");
    let foreign = generate_simple_self_signed(["localhost".to_owned()]).unwrap().key_pair.serialize_pem();
    fs::write(&files.key, foreign).unwrap();
    check(files, "cannot be used");
}
