//! A MariaDB server of the tests' own: real, on a free port, with its data in a temporary folder. It can be stopped and
//! killed, and ends with its owner.

use std::{
    net::TcpListener,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use sqlx::{AnyConnection, AssertSqlSafe, Connection};
use tempfile::TempDir;

/// How long the server may take to answer after a start.
const START_TIMEOUT: Duration = Duration::from_secs(60);

/// A server.
pub struct MariaDb {
    child: Child,
    port: u16,
    dir: TempDir,
}

impl MariaDb {
    /// A server without a database, once it answers.
    pub async fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        if is_root() {
            // It refuses to run as root, and then needs its folder.
            check(Command::new("chown").arg("mysql").arg(dir.path()));
        }
        let mut install = unprivileged("mariadb-install-db");
        install.args(["--no-defaults", "--auth-root-authentication-method=normal", "--skip-test-db"]);
        check(install.arg(format!("--datadir={}", data(dir.path()))).stdout(Stdio::null()).stderr(Stdio::null()));
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let server = Self { child: spawn(dir.path(), port), port, dir };
        server.answers().await;
        server
    }

    /// Where it is, to be followed by `/` and a database.
    #[must_use]
    pub fn url(&self) -> String {
        format!("mysql://root@127.0.0.1:{}", self.port)
    }

    /// Its process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Holds it up, so that it still accepts connections and says nothing.
    pub fn stop(&self) {
        self.signal("-STOP");
    }

    /// Lets it go on.
    pub fn go_on(&self) {
        self.signal("-CONT");
    }

    /// Ends it without a word.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Starts it again where it was, once it answers.
    pub async fn start_again(&mut self) {
        self.child = spawn(self.dir.path(), self.port);
        self.answers().await;
    }

    fn signal(&self, signal: &str) {
        check(Command::new("kill").arg(signal).arg(self.pid().to_string()));
    }

    async fn answers(&self) {
        sqlx::any::install_default_drivers();
        let limit = Instant::now() + START_TIMEOUT;
        while let Err(error) = AnyConnection::connect(&self.url()).await {
            assert!(Instant::now() < limit, "the server never answered: {error}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

impl Drop for MariaDb {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A new database on a server; its URL.
pub async fn new_database(server: &str) -> String {
    sqlx::any::install_default_drivers();
    let name = format!("t{}", starling_protocol::JobId::generate()).replace('-', "");
    let mut connection = AnyConnection::connect(server).await.unwrap();
    let create = AssertSqlSafe(format!("CREATE DATABASE {name} CHARACTER SET utf8mb4"));
    sqlx::raw_sql(create).execute(&mut connection).await.unwrap();
    format!("{server}/{name}")
}

fn spawn(dir: &Path, port: u16) -> Child {
    let mut server = unprivileged("mariadbd");
    server.arg("--no-defaults").arg(format!("--datadir={}", data(dir))).arg(format!("--port={port}"));
    server.arg(format!("--socket={}", dir.join("socket").display()));
    server.args(["--bind-address=127.0.0.1", "--skip-log-bin", "--skip-name-resolve", "--max-connections=500"]);
    // A file for each table of each test's database would be thousands.
    server.args(["--innodb-file-per-table=0", "--innodb-buffer-pool-size=64M", "--character-set-server=utf8mb4"]);
    let log = std::fs::File::create(dir.join("log")).unwrap();
    server.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().expect("mariadbd can be started")
}

/// As somebody who is not root, and ended when we are, however we end.
fn unprivileged(program: &str) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL"]);
    if is_root() {
        command.args(["--reuid", "mysql", "--regid", "mysql", "--clear-groups"]);
    }
    // Debian has it where only root's PATH leads.
    let path = std::env::var("PATH").unwrap_or_default();
    command.arg(program).env("PATH", format!("{path}:/usr/sbin:/sbin"));
    command
}

fn is_root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}

fn data(dir: &Path) -> String {
    dir.join("data").display().to_string()
}

fn check(command: &mut Command) {
    let status = command.status();
    assert!(status.as_ref().is_ok_and(std::process::ExitStatus::success), "{command:?}: {status:?}");
}
