//! A process of this program that does one thing for another one of it: one order on its stdin, news on its stdout, a line
//! of JSON each. It ends when its stdin does, also in the middle of its work.

use std::io::{self, Read, Write};

use serde::{Serialize, de::DeserializeOwned};

/// The longest order.
pub(crate) const MAX_ORDER: usize = 64 << 10;

/// Reads the order; from then on this process ends with its stdin. None when it is no order.
pub(crate) fn begin<T: DeserializeOwned>() -> Option<T> {
    let (mut line, mut byte) = (Vec::new(), [0]);
    let mut stdin = io::stdin().lock();
    while line.len() < MAX_ORDER && stdin.read_exact(&mut byte).is_ok() && byte[0] != b'\n' {
        line.push(byte[0]);
    }
    drop(stdin);
    let order = serde_json::from_slice(&line).ok()?;
    std::thread::spawn(|| {
        let _ = io::copy(&mut io::stdin().lock(), &mut io::sink());
        std::process::exit(1);
    });
    Some(order)
}

/// Says a piece of news.
pub(crate) fn tell<T: Serialize>(news: &T) {
    // Whoever does not listen any more has ended us already.
    if let Ok(line) = serde_json::to_string(news) {
        let _ = writeln!(io::stdout(), "{line}");
    }
}
