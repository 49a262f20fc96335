//! Against a server that answers each connection with the next prepared answer.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};

use super::*;

/// Serves the answers, one a connection; gives the address and, at the end, the requests.
fn serve(answers: Vec<String>) -> (String, std::thread::JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let answer = move |answer: String| {
        let (mut stream, _) = listener.accept().unwrap();
        let request = read_request(&stream);
        stream.write_all(answer.as_bytes()).unwrap();
        request
    };
    (url, std::thread::spawn(move || answers.into_iter().map(answer).collect()))
}

fn read_request(stream: &TcpStream) -> String {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        reader.read_line(&mut head).unwrap();
    }
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
    reader.read_exact(&mut body).unwrap();
    head + std::str::from_utf8(&body).unwrap()
}

fn answer(status: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\nset-cookie: starling=abc; HttpOnly; Path=/\r\n\
         content-length: {length}\r\nconnection: close\r\n\r\n{body}"
    )
}

fn login() -> Login {
    "ada:secret:word".parse().unwrap()
}

#[test]
fn logins_are_split_at_the_first_colon() {
    let login = login();
    assert_eq!((login.username.as_str(), login.password.as_str()), ("ada", "secret:word"));
    assert!("ada".parse::<Login>().is_err());
    assert!(":x".parse::<Login>().is_err());
    assert!("ada:".parse::<Login>().is_err());
}

#[test]
fn the_access_token_is_sent() {
    let answers =
        vec![answer("200 OK", r#"{"access_token":"abc"}"#), answer("201 Created", r#"{"secret":"sk-starling-1"}"#)];
    let (url, thread) = serve(answers);
    let session = Session::sign_in(&url, &login()).unwrap();
    assert_eq!(session.make_key("test").unwrap(), "sk-starling-1");
    let requests = thread.join().unwrap();
    assert!(requests[0].starts_with("POST /api/session"));
    assert!(requests[0].contains(r#""password": "secret:word""#), "{}", requests[0]);
    assert!(requests[1].contains("authorization: Bearer abc\r\n"), "{}", requests[1]);
}

#[test]
fn a_wrong_password_is_for_the_person_to_change() {
    let body = r#"{"error":{"code":"wrong_credentials","message":"Wrong name or password."}}"#;
    let (url, thread) = serve(vec![answer("401 Unauthorized", body)]);
    let error = Session::sign_in(&url, &login()).err().unwrap();
    assert!(error.is::<Blocked>(), "{error}");
    thread.join().unwrap();
}
