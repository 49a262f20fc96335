//! Tells systemd how the node does, where it runs as a unit of `Type=notify`: one datagram for each fact, as in
//! sd_notify(3). Elsewhere nothing is said.

/// The node has a good configuration and begins to serve.
pub fn ready() {
    send("READY=1");
}

/// The node hands its answers over and leaves.
pub fn stopping() {
    send("STOPPING=1");
}

/// Says that the node lives, for as long as this is polled; half of systemd's patience lies between two words.
pub async fn keep_alive() {
    let patience = std::env::var("WATCHDOG_USEC").ok().and_then(|text| text.parse().ok());
    let Some(patience) = patience.map(std::time::Duration::from_micros).filter(|patience| !patience.is_zero()) else {
        return std::future::pending().await;
    };
    loop {
        send("WATCHDOG=1");
        tokio::time::sleep(patience / 2).await;
    }
}

#[cfg(target_os = "linux")]
fn send(fact: &str) {
    if let Some(socket) = std::env::var_os("NOTIFY_SOCKET")
        && let Err(error) = send_to(&socket, fact)
    {
        tracing::debug!(%error, "systemd was not told {fact}");
    }
}

#[cfg(target_os = "linux")]
fn send_to(socket: &std::ffi::OsStr, fact: &str) -> std::io::Result<()> {
    use std::os::{
        linux::net::SocketAddrExt,
        unix::{
            ffi::OsStrExt,
            net::{SocketAddr, UnixDatagram},
        },
    };
    // `@` stands for the zero byte of a name that no file has.
    let address = match socket.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        path => SocketAddr::from_pathname(std::ffi::OsStr::from_bytes(path))?,
    };
    let datagram = UnixDatagram::unbound()?;
    datagram.set_nonblocking(true)?;
    datagram.send_to_addr(fact.as_bytes(), &address).map(drop)
}

#[cfg(not(target_os = "linux"))]
fn send(_: &str) {}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use std::{
        ffi::OsStr,
        os::{
            linux::net::SocketAddrExt,
            unix::net::{SocketAddr, UnixDatagram},
        },
        time::Duration,
    };

    use super::*;

    fn hears(socket: &UnixDatagram) -> String {
        socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let mut heard = [0; 64];
        let length = socket.recv(&mut heard).unwrap();
        String::from_utf8_lossy(&heard[..length]).into_owned()
    }

    #[test]
    fn both_kinds_of_sockets_are_reached() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        send_to(path.as_os_str(), "READY=1").unwrap();
        assert_eq!(hears(&socket), "READY=1");
        let name = format!("starling-test-{}", std::process::id());
        let socket = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        send_to(OsStr::new(&format!("@{name}")), "STOPPING=1").unwrap();
        assert_eq!(hears(&socket), "STOPPING=1");
        assert!(send_to(OsStr::new("/nowhere/at/all"), "READY=1").is_err());
    }
}
