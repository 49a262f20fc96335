//! A redis-server of a test's own, on a free port, that can be stopped, hung and brought back. Everything that it wrote
//! can be looked at.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{Ipv4Addr, TcpListener, TcpStream},
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// How long it may take to start.
const PATIENCE: Duration = Duration::from_secs(20);

/// A Redis; it ends when dropped.
pub struct RedisServer {
    port: u16,
    child: Option<Child>,
    tls: Option<Tls>,
}

/// It speaks TLS on this port too.
struct Tls {
    port: u16,
    /// PEM files.
    certificate: PathBuf,
    key: PathBuf,
}

impl RedisServer {
    /// One that runs.
    #[must_use]
    pub fn start() -> Self {
        let mut server = Self::absent();
        server.come_back();
        server
    }

    /// The place of one that does not run yet.
    #[must_use]
    pub fn absent() -> Self {
        Self { port: free_port(), child: None, tls: None }
    }

    /// One that runs, also with TLS and this certificate.
    #[must_use]
    pub fn with_tls(certificate: PathBuf, key: PathBuf) -> Self {
        let mut server = Self::absent();
        server.tls = Some(Tls { port: free_port(), certificate, key });
        server.come_back();
        server
    }

    /// Its address for TLS.
    ///
    /// # Panics
    /// If it has none.
    #[must_use]
    pub fn tls_url(&self) -> String {
        format!("rediss://127.0.0.1:{}", self.tls.as_ref().unwrap().port)
    }

    /// Its address.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Ends it without a word.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Starts it, empty, where it was.
    pub fn come_back(&mut self) {
        let port = self.port.to_string();
        let mut command = Command::new("redis-server");
        command.args(["--bind", "127.0.0.1", "--port", &port, "--save", "", "--appendonly", "no"]);
        if let Some(Tls { port, certificate, key }) = &self.tls {
            command.args(["--tls-port", &port.to_string(), "--tls-auth-clients", "no"]);
            command.arg("--tls-cert-file").arg(certificate).arg("--tls-key-file").arg(key);
        }
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        self.child = Some(child.expect("redis-server is needed: `cargo xtask test` installs it"));
        let limit = Instant::now() + PATIENCE;
        while self.try_ask(&["PING"]).is_none() {
            assert!(Instant::now() < limit, "redis-server did not start");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Stops it where it stands: it still takes connections, and answers nothing.
    pub fn hang(&self) {
        self.signal("-STOP");
    }

    /// Lets it go on.
    pub fn wake(&self) {
        self.signal("-CONT");
    }

    /// What it answers to a command, as one text.
    #[must_use]
    pub fn ask(&self, words: &[&str]) -> String {
        self.try_ask(words).expect("redis-server answers")
    }

    /// All that is in it.
    #[must_use]
    pub fn dump(&self) -> String {
        let keys = self.ask(&["KEYS", "*"]);
        let names: Vec<&str> = keys.lines().filter(|line| line.starts_with("starling:")).collect();
        names.iter().map(|name| self.ask(&["GET", name])).fold(keys.clone(), |all, value| all + &value)
    }

    fn signal(&self, signal: &str) {
        let id = self.child.as_ref().unwrap().id().to_string();
        assert!(Command::new("kill").args([signal, &id]).status().unwrap().success());
    }

    fn try_ask(&self, words: &[&str]) -> Option<String> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).ok()?;
        let mut frame = format!("*{}\r\n", words.len());
        words.iter().for_each(|word| frame += &format!("${}\r\n{word}\r\n", word.len()));
        stream.write_all(frame.as_bytes()).ok()?;
        let mut lines = BufReader::new(stream);
        answer(&mut lines)
    }
}

fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

/// One answer of any kind; of a list, its parts as lines.
fn answer(from: &mut BufReader<TcpStream>) -> Option<String> {
    let mut head = String::new();
    from.read_line(&mut head).ok().filter(|bytes| *bytes > 0)?;
    let (kind, rest) = head.trim_end().split_at(1);
    match kind {
        "$" => {
            let length = usize::try_from(rest.parse::<i64>().ok()?).unwrap_or_default();
            let mut body = vec![0; length + 2];
            from.read_exact(&mut body).ok()?;
            Some(String::from_utf8_lossy(&body[..length]).into_owned())
        }
        "*" => (0..rest.parse().ok()?).map(|_| Some(answer(from)? + "\n")).collect(),
        _ => Some(rest.to_owned()),
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.kill();
    }
}
