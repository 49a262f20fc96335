//! What an operator does from a shell, with the real program: accounts, backups, other keys; all beside a gateway that
//! runs, as it does. There is no node here: conversations come out of files.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should say so at once")]

use std::{
    fmt::Display,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

/// How long anything may take before it counts as never.
const PATIENCE: Duration = Duration::from_secs(60);
const PASSWORD: &str = "a good password";
/// Messages of each conversation.
const LENGTH: usize = 10;

/// The program, with nothing of the tests' own surroundings.
fn program(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_starling-gateway"));
    command.args(arguments).env_remove("STARLING_DATABASE").env_remove("STARLING_REDIS").env_remove("STARLING_LOG");
    command
}

/// A command of the operator's, with a first line of input.
fn ask(arguments: &[&str], input: &str) -> Output {
    let mut command = program(arguments);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // One that needs no input may have ended already.
    let _ = writeln!(child.stdin.take().unwrap(), "{input}");
    child.wait_with_output().unwrap()
}

#[track_caller]
fn done(arguments: &[&str], input: &str) -> String {
    let output = ask(arguments, input);
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{arguments:?}: {error}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[track_caller]
fn refused(arguments: &[&str], input: &str, because: &str) {
    let output = ask(arguments, input);
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && error.contains(because), "{arguments:?}: {error}");
}

/// A gateway's folder; it goes away with the test.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn text(&self) -> &str {
        self.0.path().to_str().unwrap()
    }

    fn add(&self, name: &str, role: &str) -> String {
        done(&["user", "add", name, "--role", role, "--data", self.text()], PASSWORD)
    }

    fn start(&self, more: &[&str]) -> Gateway {
        let fixed = ["run", "--http", "127.0.0.1:0", "--no-port-mapping", "--data", self.text()];
        let mut command = program(&[&fixed, more].concat());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let (lines, said) = mpsc::sync_channel(64);
        let out = BufReader::new(child.stdout.take().unwrap());
        thread::spawn(move || out.lines().map_while(Result::ok).all(|line| lines.send(line).is_ok()));
        // It is killed when this fails, too.
        let mut gateway = Gateway { child, address: String::new() };
        let address = loop {
            let line = said.recv_timeout(PATIENCE).expect("it never was ready");
            if let Some(url) = line.strip_prefix("ready http://") {
                break url.to_owned();
            }
        };
        gateway.address = address;
        gateway
    }
}

/// One that runs; killed when dropped.
struct Gateway {
    child: Child,
    address: String,
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Somebody who is signed in.
#[derive(Clone)]
struct Guest {
    access: String,
    cookie: String,
}

impl Gateway {
    /// The status, the head, and the body of an answer.
    fn send(&self, method: &str, path: &str, head: &[(&str, &str)], body: Option<&Value>) -> (u16, String, Value) {
        let body = body.map(Value::to_string).unwrap_or_default();
        let mut request = format!("{method} {path} HTTP/1.0\r\nhost: {}\r\n", self.address);
        for (name, value) in head {
            request += &format!("{name}: {value}\r\n");
        }
        request += &format!("content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, head.to_owned(), serde_json::from_str(body).unwrap_or(Value::Null))
    }

    fn as_guest(&self, guest: &Guest, method: &str, path: &str, body: Option<&Value>) -> (u16, Value) {
        let bearer = format!("Bearer {}", guest.access);
        let (status, _, body) = self.send(method, path, &[("authorization", &bearer)], body);
        (status, body)
    }

    #[track_caller]
    fn get(&self, guest: &Guest, path: &str) -> Value {
        let (status, body) = self.as_guest(guest, "GET", path, None);
        assert_eq!(status, 200, "{path}: {body}");
        body
    }

    #[track_caller]
    fn sign_in(&self, name: &str) -> Guest {
        let person = json!({"username": name, "password": PASSWORD});
        guest(self.send("POST", "/api/session", &[], Some(&person)))
    }

    /// Signs in again with the cookie.
    #[track_caller]
    fn refresh(&self, old: &Guest) -> Guest {
        guest(self.send("POST", "/api/session/refresh", &[("cookie", &old.cookie)], Some(&json!({}))))
    }

    fn import(&self, guest: &Guest, number: impl Display) -> u16 {
        let said = |at: usize| {
            let role = if at.is_multiple_of(2) { "user" } else { "assistant" };
            let text = format!("murmuration {number} {at}");
            json!({"follows": at, "role": role, "text": text, "created_at_ms": 5, "status": "complete"})
        };
        let messages: Vec<_> = (0..LENGTH).map(said).collect();
        let title = format!("conversation {number}");
        let file = json!({
            "format": "starling-conversation", "version": 1, "title": title, "created_at_ms": 5, "messages": messages,
        });
        self.as_guest(guest, "POST", "/api/conversations/import", Some(&file)).0
    }

    /// How many conversations there are, each of which is whole.
    fn readable(&self, guest: &Guest) -> usize {
        let list = self.get(guest, "/api/conversations?limit=100");
        let list = list["conversations"].as_array().unwrap().clone();
        for conversation in &list {
            let whole = self.get(guest, &format!("/api/conversations/{}", conversation["id"].as_str().unwrap()));
            let messages = whole["messages"].as_array().unwrap();
            assert_eq!(messages.len(), LENGTH, "{whole}");
            let number = conversation["title"].as_str().unwrap().strip_prefix("conversation ").unwrap();
            assert_eq!(messages[LENGTH - 1]["text"], json!(format!("murmuration {number} {}", LENGTH - 1)));
        }
        list.len()
    }
}

#[track_caller]
fn guest((status, head, body): (u16, String, Value)) -> Guest {
    assert_eq!(status, 200, "{body}");
    let cookie = head.lines().find_map(|line| line.strip_prefix("set-cookie: ")).unwrap();
    Guest {
        access: body["access_token"].as_str().unwrap().to_owned(),
        cookie: cookie.split(';').next().unwrap().into(),
    }
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn accounts_are_made_and_changed_beside_a_gateway_and_that_is_noted() {
    let folder = Folder::new();
    let gateway = folder.start(&[]);
    assert_eq!(folder.add("Anna", "admin"), "made anna");
    refused(&["user", "add", "anna", "--data", folder.text()], PASSWORD, "there is an account anna already");
    refused(&["user", "add", "ben", "--data", folder.text()], "short", "8 to 256 bytes");
    refused(&["user", "role", "anna", "user", "--data", folder.text()], "", "the last administrator");
    refused(&["user", "password", "carl", "--data", folder.text()], PASSWORD, "no account carl");
    folder.add("ben", "user");
    assert_eq!(done(&["user", "role", "ben", "worker", "--data", folder.text()], ""), "changed ben");
    assert_eq!(done(&["user", "rotate-key", "ben", "--data", folder.text()], ""), "sealed anew for ben");
    let ben = gateway.sign_in("ben");
    assert_eq!(gateway.get(&ben, "/api/me")["user"]["role"], "worker");
    assert_eq!(done(&["user", "password", "ben", "--data", folder.text()], "another password"), "changed ben");
    let (status, ..) = gateway.send("POST", "/api/session/refresh", &[("cookie", &ben.cookie)], Some(&json!({})));
    assert_eq!(status, 401, "all sessions end with a password");
    let anna = gateway.sign_in("anna");
    let log = gateway.get(&anna, "/api/audit");
    let line = |entry: &Value| ["actor", "action", "target"].map(|field| entry[field].as_str().unwrap().to_owned());
    let lines: Vec<_> = log["entries"].as_array().unwrap().iter().rev().map(line).map(|line| line.join(" ")).collect();
    let expected = [
        "console user_made anna",
        "console user_made ben",
        "console role_changed ben",
        "console data_key_replaced ben",
        "console password_changed ben",
    ];
    assert_eq!(lines, expected);
}

#[test]
fn a_backup_that_is_made_while_people_write_is_whole_and_readable_elsewhere() {
    let (folder, elsewhere) = (Folder::new(), Folder::new());
    folder.add("anna", "user");
    let gateway = folder.start(&[]);
    let anna = gateway.sign_in("anna");
    for number in 0..5 {
        assert_eq!(gateway.import(&anna, number), 201);
    }
    let (file, second) = (elsewhere.file("backup.db"), elsewhere.file("second.db"));
    thread::scope(|scope| {
        let writing = scope.spawn(|| (5..25).map(|number| gateway.import(&anna, number)).all(|status| status == 201));
        assert!(done(&["backup", path(&file), "--data", folder.text()], "").starts_with("backup "));
        assert!(writing.join().unwrap(), "nobody waits for it");
    });
    done(&["backup", path(&second), "--data", folder.text()], "");
    refused(&["backup", path(&file), "--data", folder.text()], "", "is there already");
    refused(&["restore", path(&file), "--data", folder.text()], "", "a gateway runs");
    drop(gateway);

    let key = folder.file("master.key");
    let restored = |from: &Path| {
        let data = Folder::new();
        done(&["restore", path(from), "--data", data.text()], "");
        let gateway = data.start(&["--master-key", path(&key)]);
        (gateway, data)
    };
    // Who was signed in then still is: a session is in the database, and its access token is signed by a key that comes
    // from the master key.
    let (gateway, _data) = restored(&file);
    let count = gateway.readable(&anna);
    assert!((5..=25).contains(&count), "{count}");
    drop(gateway);
    let (gateway, _data) = restored(&second);
    assert_eq!(gateway.readable(&anna), 25);
    let again = gateway.refresh(&anna);
    assert_eq!(gateway.import(&again, 25), 201, "and it goes on there");
    drop(gateway);

    let (other, data) = (elsewhere.file("other.key"), Folder::new());
    done(&["restore", path(&second), "--data", data.text()], "");
    let refused_start = ["user", "role", "anna", "user", "--data", data.text(), "--master-key", path(&other)];
    refused(&refused_start, "", "this is not the master key of the database");
    refused(&["restore", path(&other), "--data", data.text()], "", "is not a backup of a gateway");
}

#[test]
fn another_master_key_takes_the_place_of_the_old_one_and_people_stay_signed_in() {
    let folder = Folder::new();
    folder.add("anna", "admin");
    let gateway = folder.start(&[]);
    let anna = gateway.sign_in("anna");
    assert_eq!(gateway.import(&anna, 1), 201);
    let new = folder.file("new.key");
    assert!(done(&["rotate-master", "--new", path(&new), "--data", folder.text()], "").starts_with("wrapped "));
    assert_eq!(gateway.import(&anna, 2), 201, "the one that runs goes on");
    assert_eq!(gateway.readable(&anna), 2);
    drop(gateway);
    let gateway = folder.start(&["--master-key", path(&new)]);
    let (status, _) = gateway.as_guest(&anna, "GET", "/api/me", None);
    assert_eq!(status, 401, "access tokens are signed by what comes from the master key");
    let anna = gateway.refresh(&anna);
    assert_eq!(gateway.readable(&anna), 2, "and are renewed with the cookie, as the page does by itself");
    // The new gateway forgets the old key a moment after its start.
    let with_old = || ask(&["user", "role", "anna", "admin", "--data", folder.text()], "");
    let began = Instant::now();
    while with_old().status.success() {
        assert!(began.elapsed() < PATIENCE, "the old key still opens it");
        thread::sleep(Duration::from_millis(50));
    }
    let refusal = String::from_utf8(with_old().stderr).unwrap();
    assert!(refusal.contains("this is not the master key of the database"), "{refusal}");
    done(&["user", "role", "anna", "admin", "--data", folder.text(), "--master-key", path(&new)], "");
}

#[test]
fn with_another_key_of_a_persons_own_everything_stays_readable() {
    let folder = Folder::new();
    folder.add("anna", "user");
    let gateway = folder.start(&[]);
    let anna = gateway.sign_in("anna");
    assert_eq!(gateway.import(&anna, 1), 201);
    let (status, _) = gateway.as_guest(&anna, "POST", "/api/memories", Some(&json!({"text": "I keep bees"})));
    assert_eq!(status, 201);
    for round in 2..4 {
        done(&["user", "rotate-key", "anna", "--data", folder.text()], "");
        // The running one seals with the old key until it looks again; both open.
        assert_eq!(gateway.import(&anna, round), 201);
        assert_eq!(gateway.readable(&anna), round);
    }
    // Beside it there are passages of what was said.
    let remembers = |gateway: &Gateway| {
        let memories = gateway.get(&anna, "/api/memories");
        memories["memories"].as_array().unwrap().iter().any(|memory| memory["text"] == "I keep bees")
    };
    assert!(remembers(&gateway));
    drop(gateway);
    let gateway = folder.start(&[]);
    assert_eq!(gateway.readable(&anna), 3);
    assert!(remembers(&gateway));
}
