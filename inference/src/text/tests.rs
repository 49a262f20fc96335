//! Every way to cut a text into tokens must give the same text.

use super::*;

const TEXT: &str = "aé€😀\u{301}日本 ß\r\n👩‍👩‍👧 end";

/// Pushes `bytes` in the given cuts; returns each piece, whether it stopped, and how many tokens came out.
fn run(chunks: &[&[u8]], stops: &[&str]) -> (Vec<Piece>, bool) {
    let mut text = AnswerText::new(stops.iter().map(|&s| s.to_owned()).collect());
    let mut pieces = Vec::new();
    for (token, chunk) in chunks.iter().enumerate() {
        match text.push(u32::try_from(token).unwrap(), chunk) {
            Scan::Ready(piece) => pieces.push(piece),
            Scan::Stopped(piece) => {
                pieces.push(piece);
                return (pieces, true);
            }
        }
    }
    pieces.push(text.finish());
    (pieces, false)
}

fn joined(pieces: &[Piece]) -> String {
    pieces.iter().map(|piece| piece.text.as_str()).collect()
}

/// Cuts `bytes` where `mask` has a bit.
fn cut(bytes: &[u8], mask: u64) -> Vec<&[u8]> {
    let mut chunks = Vec::new();
    let mut start = 0;
    for at in 1..bytes.len() {
        if mask >> (at % 64) & 1 == 1 {
            chunks.push(&bytes[start..at]);
            start = at;
        }
    }
    chunks.push(&bytes[start..]);
    chunks
}

fn random(seed: u64) -> impl FnMut() -> u64 {
    let mut state = seed;
    move || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed ^ (mixed >> 27)
    }
}

/// Each piece must be the text of its tokens alone, which is what makes an answer continuable.
fn check_pieces(chunks: &[&[u8]], pieces: &[Piece]) {
    let mut next = 0;
    for piece in pieces {
        let bytes: Vec<u8> = piece.tokens.iter().flat_map(|&t| chunks[t as usize].to_vec()).collect();
        assert_eq!(String::from_utf8_lossy(&bytes), piece.text);
        for &token in &piece.tokens {
            assert_eq!(token, next);
            next += 1;
        }
    }
    assert_eq!(next as usize, chunks.len());
}

#[test]
fn two_cuts_anywhere_give_the_same_text() {
    let bytes = TEXT.as_bytes();
    for first in 0..=bytes.len() {
        for second in first..=bytes.len() {
            let chunks = [&bytes[..first], &bytes[first..second], &bytes[second..]];
            let (pieces, stopped) = run(&chunks, &[]);
            assert!(!stopped);
            assert_eq!(joined(&pieces), TEXT);
            check_pieces(&chunks, &pieces);
        }
    }
}

#[test]
fn random_cuts_with_stops_give_the_same_text() {
    let mut next = random(1);
    for _ in 0..3000 {
        let chunks = cut(TEXT.as_bytes(), next());
        let (pieces, stopped) = run(&chunks, &["never", "日本語", "👩‍👩‍👦", "ende", "\r\n\r\n"]);
        assert!(!stopped);
        assert_eq!(joined(&pieces), TEXT);
        check_pieces(&chunks, &pieces);
    }
}

#[test]
fn a_stop_is_found_whatever_the_cuts() {
    let mut next = random(2);
    for stop in ["é€", "😀", "本 ß", "\r\n", "👩‍👩‍👧", "end", "d"] {
        let expected = &TEXT[..TEXT.find(stop).unwrap()];
        for _ in 0..500 {
            let (pieces, stopped) = run(&cut(TEXT.as_bytes(), next()), &["zzz", stop]);
            assert!(stopped, "{stop}");
            assert_eq!(joined(&pieces), expected, "{stop}");
        }
    }
}

#[test]
fn invalid_bytes_are_replaced_whatever_the_cuts() {
    let bytes = b"ok\xff\xc3(\xe2\x82\xf0\x9f\x98 end\xe2\x82";
    let expected = String::from_utf8_lossy(bytes);
    let mut next = random(3);
    for _ in 0..2000 {
        let chunks = cut(bytes, next());
        let mut decoder = Utf8Decoder::default();
        let mut text = String::new();
        for chunk in chunks {
            decoder.push(chunk, &mut text);
        }
        decoder.finish(&mut text);
        assert_eq!(text, expected);
    }
}

#[test]
fn a_possible_stop_is_held_back_with_its_tokens() {
    let mut text = AnswerText::new(vec!["STOP".into()]);
    let ready = |scan| match scan {
        Scan::Ready(piece) => (piece.tokens, piece.text),
        Scan::Stopped(_) => panic!("stopped"),
    };
    assert_eq!(ready(text.push(1, b"go ")), (vec![1], "go ".into()));
    assert_eq!(ready(text.push(2, b"on S")), (vec![], String::new()));
    assert_eq!(ready(text.push(3, b"TO")), (vec![], String::new()));
    assert_eq!(ready(text.push(4, b"x")), (vec![2, 3, 4], "on STOx".into()));
    assert_eq!(ready(text.push(5, b"ST")), (vec![], String::new()));
    let rest = text.finish();
    assert_eq!((rest.tokens, rest.text), (vec![5], "ST".into()));
}

#[test]
fn a_run_that_keeps_looking_like_a_stop_still_flows() {
    let mut text = AnswerText::new(vec!["--x".into()]);
    let mut given = 0;
    for token in 0..100 {
        if let Scan::Ready(piece) = text.push(token, b"-") {
            given += piece.tokens.len();
        }
    }
    assert_eq!(given, 98);
}

#[test]
fn an_answer_continues_behind_any_piece() {
    let mut next = random(4);
    for _ in 0..500 {
        let chunks = cut(TEXT.as_bytes(), next());
        let (pieces, _) = run(&chunks, &["ß\n", "end!"]);
        for cut_at in 0..pieces.len() {
            let given: usize = pieces[..cut_at].iter().map(|piece| piece.tokens.len()).sum();
            let (rest, _) = run(&chunks[given..], &["ß\n", "end!"]);
            assert_eq!(joined(&pieces[..cut_at]) + &joined(&rest), TEXT);
        }
    }
}
