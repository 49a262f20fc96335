//! What people say is readable with the master key alone.

use std::{
    process::Command,
    sync::{Arc, Mutex},
};

use crate::{
    id::CharacterId,
    store::{
        characters::{Persona, PictureKind},
        portable::Whole,
    },
    vault::{self, Cipher},
};

use super::*;

/// All that whoever has the database has: its files, or what a dump of it says.
async fn all_there_is(dir: &tempfile::TempDir) -> Vec<u8> {
    let Database::MySql(url) = database(dir).await else {
        let files = std::fs::read_dir(dir.path()).unwrap().map(|file| std::fs::read(file.unwrap().path()).unwrap());
        return files.flatten().collect();
    };
    let url = format!("{url:?}");
    let (server, name) = url.trim_start_matches("mysql://").rsplit_once('/').unwrap();
    let (host, port) = server.split_once(':').unwrap();
    let mut dump = Command::new("mariadb-dump");
    let dumped = dump.args(["--no-defaults", "-uroot", "-h", host, "-P", port, name]).output().unwrap();
    assert!(dumped.status.success(), "{}", String::from_utf8_lossy(&dumped.stderr));
    dumped.stdout
}

/// Every word that is logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn count(bytes: &[u8], words: &str) -> usize {
    bytes.windows(words.len()).filter(|window| *window == words.as_bytes()).count()
}

fn persona() -> Persona {
    let [name, system_prompt, greeting] = ["murmured name", "murmured prompt", "murmured greeting"].map(text);
    Persona { name, system_prompt, greeting, shared: true, ..Persona::default() }
}

/// All kinds of words of one person's.
async fn say_everything(store: &Store, user: &User, number: usize) -> (ConversationId, CharacterId) {
    let character = store.create_character(user.id, &persona()).await.unwrap().unwrap();
    store.set_picture(user.id, character.id, Some((PictureKind::Png, b"murmured picture".to_vec()))).await.unwrap();
    let conversation = store.create_conversation(user.id, None, Some(&character)).await.unwrap();
    let place = behind(store, user, conversation.id).await;
    let turn = TurnId::generate();
    let question = text(&format!("murmured question {number}"));
    store.accept(user.id, &place, turn, &question, &fresh()).await.unwrap().unwrap();
    let mut progress = fresh();
    assert!(progress.grow(&[0x6b72_616d], "murmured progress"));
    store.keep(&[(turn, progress.clone())]).await.unwrap();
    let error = Some(TurnError { code: "node_lost".into(), message: "murmured error".into() });
    let ending = Ending { status: Status::Partial, error, progress: Some(progress), ..whole("murmured answer") };
    store.finish(turn, &ending).await.unwrap().unwrap();
    store.title_by_model(conversation.id, &text("murmured title")).await.unwrap();
    (conversation.id, character.id)
}

async fn said(store: &Store, user: &User, id: ConversationId) -> Whole {
    store.whole(user.id, id).await.unwrap().unwrap()
}

#[tokio::test]
async fn a_thousand_marked_words_are_nowhere_in_the_database() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber =
        tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(move || writer.clone());
    let _guard = tracing::subscriber::set_default(subscriber.finish());
    let (store, dir) = store().await;
    let user = user(&store, "a").await;
    for number in 0..100 {
        say_everything(&store, &user, number).await;
    }
    let rest = text("murmured import");
    for _ in 0..100 {
        let id = store.create_conversation(user.id, Some(rest.clone()), None).await.unwrap().id;
        ask(&store, &user, Place::In { id, after: 0 }).await;
        let mut whole = said(&store, &user, id).await;
        whole.conversation.id = ConversationId::generate();
        for message in &mut whole.messages {
            message.id = TurnId::generate();
            message.text = rest.clone();
        }
        store.import(user.id, &whole).await.unwrap();
    }
    tracing::trace!("the log is read");
    let said = log.0.lock().unwrap().clone();
    assert_eq!((count(&said, "murmured"), count(&said, "the log is read")), (0, 1));
    let before = all_there_is(&dir).await;
    assert_eq!(count(&before, "murmured"), 0);
    assert!(count(&before, &user.id.to_string()) > 0, "it was looked at");
    assert_eq!(store.search(user.id, "MURMURED question 99", 9).await.unwrap().len(), 1, "and its owner finds it");
    store.close().await;
    assert_eq!(count(&all_there_is(&dir).await, "murmured"), 0);
}

#[tokio::test]
async fn what_an_earlier_release_left_is_read_and_then_sealed() {
    let (store, dir) = store().await;
    let (user, friend) = (user(&store, "a").await, super::user(&store, "b").await);
    let (id, character) = say_everything(&store, &user, 1).await;
    for sql in [
        "UPDATE conversations SET sealed = NULL, title = 'murmured old title'",
        "UPDATE messages SET sealed = NULL, text = 'murmured old text'",
        "UPDATE progress SET sealed = NULL, tokens = x'01000000', text = 'murmured old progress'",
        "UPDATE characters SET sealed = NULL, name = 'murmured old name', greeting = 'murmured old greeting'",
        "UPDATE character_pictures SET sealed = NULL, bytes = x'0102'",
    ] {
        sqlx::query(sql).execute(&store.writer).await.unwrap();
    }
    for sealed in [false, true] {
        if sealed {
            assert!(count(&all_there_is(&dir).await, "murmured old") > 0);
            assert_eq!(store.seal_all().await.unwrap(), 8, "four messages and one of each other kind");
            assert_eq!(store.seal_all().await.unwrap(), 0, "once is enough");
            assert_eq!(count(&all_there_is(&dir).await, "murmured old"), 0);
        }
        let whole = said(&store, &user, id).await;
        assert_eq!(whole.conversation.title, text("murmured old title"));
        assert!(whole.messages.iter().all(|message| message.text == text("murmured old text")));
        let turn = whole.messages.last().unwrap().id;
        let progress = store.resumable(user.id, turn).await.unwrap().unwrap().progress;
        assert_eq!((progress.tokens, progress.text), (vec![1], text("murmured old progress")));
        let shared = store.character(friend.id, character).await.unwrap().unwrap().persona;
        assert_eq!((shared.name, shared.greeting), (text("murmured old name"), text("murmured old greeting")));
        assert_eq!(store.picture(friend.id, character).await.unwrap().unwrap().1, [1, 2]);
    }
}

#[tokio::test]
async fn a_value_that_was_moved_or_changed_does_not_open() {
    let (store, _dir) = store().await;
    let (a, b) = (user(&store, "a").await, user(&store, "b").await);
    let (one, other) = (say_everything(&store, &a, 1).await.0, say_everything(&store, &b, 2).await.0);
    let ids = |whole: &Whole| whole.messages.iter().map(|message| message.id.to_string()).collect::<Vec<_>>();
    let (mine, theirs) = (ids(&said(&store, &a, one).await), ids(&said(&store, &b, other).await));
    let sealed = async |id: &str| -> Vec<u8> {
        let sql = sqlx::query_scalar("SELECT sealed FROM messages WHERE id = ?").bind(id.to_owned());
        sql.fetch_one(&store.readers).await.unwrap()
    };
    let put = async |bytes: Vec<u8>| {
        let sql = sqlx::query("UPDATE messages SET sealed = ? WHERE id = ?").bind(bytes).bind(mine[0].clone());
        sql.execute(&store.writer).await.unwrap();
        store.whole(a.id, one).await
    };
    let right = sealed(&mine[0]).await;
    let mut changed = right.clone();
    *changed.last_mut().unwrap() ^= 1;
    for wrong in [sealed(&mine[1]).await, sealed(&theirs[0]).await, changed, vec![], b"words".to_vec()] {
        assert!(matches!(put(wrong).await, Err(StoreError::Broken(_))));
    }
    assert!(put(right).await.is_ok());
}

#[tokio::test]
async fn another_master_key_is_refused_and_either_cipher_is_read() {
    let (store, dir) = store().await;
    let user = user(&store, "a").await;
    let (id, _) = say_everything(&store, &user, 1).await;
    store.close().await;
    let other = Sealing::with(MasterKey::generate());
    let refused = Store::open(&database(&dir).await, &other).await.unwrap_err();
    assert!(matches!(refused, OpenError::OtherMasterKey), "{refused}");
    assert!(refused.hint().contains("--master-key"));
    let aes = Sealing { cipher: Cipher::Aes256Gcm, ..sealing() };
    let store = Store::open(&database(&dir).await, &aes).await.unwrap();
    assert_eq!(said(&store, &user, id).await.conversation.title, text("murmured title"));
    let (second, _) = say_everything(&store, &user, 2).await;
    store.close().await;
    let store = open(&dir).await;
    assert_eq!(said(&store, &user, second).await.conversation.title, text("murmured title"));
}

#[tokio::test]
async fn one_master_key_takes_the_place_of_another_while_gateways_run() {
    let (store, dir) = store().await;
    let (a, b) = (user(&store, "a").await, user(&store, "b").await);
    let (first, _) = say_everything(&store, &a, 1).await;
    let (new, database) = (MasterKey::generate(), database(&dir).await);
    // Another process, which was killed when it had done nothing but to name the new key.
    let rotating = open(&dir).await;
    assert_eq!(rotating.rotate_master(&new).await.unwrap(), 1);
    assert_eq!(rotating.rotate_master(&new).await.unwrap(), 0, "again is no harm");
    rotating.close().await;
    // Those that run with the old one go on, with people whose keys they have and with new ones.
    let (second, _) = say_everything(&store, &b, 2).await;
    store.keyring.forget(a.id);
    assert_eq!(said(&store, &a, first).await.conversation.title, text("murmured title"));
    let after = Store::open(&database, &Sealing::with(new)).await.unwrap();
    for (user, id) in [(&a, first), (&b, second)] {
        assert_eq!(said(&after, user, id).await.conversation.title, text("murmured title"));
    }
    after.seal_all().await.unwrap();
    assert_eq!(said(&store, &b, second).await.conversation.title, text("murmured title"), "it still runs");
    let refused = Store::open(&database, &sealing()).await.unwrap_err();
    assert!(matches!(refused, OpenError::OtherMasterKey), "the old one opens nothing any more: {refused}");
}

#[tokio::test]
async fn a_users_key_is_replaced_and_the_old_one_destroyed() {
    let (store, _dir) = store().await;
    let user = user(&store, "a").await;
    let (id, character) = say_everything(&store, &user, 1).await;
    let generations = async || -> Vec<i64> {
        let sql = "SELECT generation FROM data_keys ORDER BY generation";
        sqlx::query_scalar(sql).fetch_all(&store.readers).await.unwrap()
    };
    store.rotate_key(user.id).await.unwrap();
    assert_eq!(generations().await, [1, 2], "another gateway may still seal with it");
    for table in ["messages", "conversations", "progress", "characters", "character_pictures"] {
        let sql = sqlx::AssertSqlSafe(format!("SELECT sealed FROM {table}"));
        let sealed: Vec<Vec<u8>> = sqlx::query_scalar(sql).fetch_all(&store.readers).await.unwrap();
        assert!(!sealed.is_empty() && sealed.iter().all(|sealed| vault::generation(sealed) == Some(2)), "{table}");
    }
    sqlx::query("UPDATE data_keys SET created_at = 0").execute(&store.writer).await.unwrap();
    store.rotate_key(user.id).await.unwrap();
    assert_eq!(generations().await, [2, 3], "the first was replaced long ago");
    let last = said(&store, &user, id).await.messages.pop().unwrap();
    assert_eq!((last.text, last.error.unwrap().message.as_str()), (text("murmured answer"), "murmured error"));
    assert_eq!(store.picture(user.id, character).await.unwrap().unwrap().1, b"murmured picture");
}

#[tokio::test]
async fn a_key_that_was_replaced_elsewhere_is_seen_and_nobody_stumbles_over_it() {
    let (store, dir) = store().await;
    let user = user(&store, "a").await;
    let (id, _) = say_everything(&store, &user, 1).await;
    let elsewhere = open(&dir).await;
    let rotating = elsewhere.rotate_key(user.id);
    let reading = async {
        let began = std::time::Instant::now();
        while began.elapsed() < Duration::from_secs(4) {
            assert_eq!(said(&store, &user, id).await.conversation.title, text("murmured title"));
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let (rotated, ()) = tokio::join!(rotating, reading);
    rotated.unwrap();
    assert_eq!(store.keys_of(user.id).await.unwrap().generation(), 2);
    elsewhere.delete_person(user.id).await.unwrap();
    tokio::time::sleep(super::super::keyring::TAKEN_FOR).await;
    assert_eq!(store.keys_of(user.id).await.unwrap().generation(), 0, "nor is one that was deleted elsewhere");
}

#[tokio::test]
async fn what_broke_is_sealed_and_what_an_earlier_release_wrote_of_it_is_sealed_later() {
    let (store, _dir) = store().await;
    let user = user(&store, "a").await;
    let (id, _) = say_everything(&store, &user, 1).await;
    let error = async || said(&store, &user, id).await.messages.pop().unwrap().error.unwrap().message;
    assert_eq!(error().await, "murmured error");
    let sql = "UPDATE messages SET sealed_error = NULL, error_message = 'an old error' WHERE error_code IS NOT NULL";
    sqlx::query(sql).execute(&store.writer).await.unwrap();
    assert_eq!(error().await, "an old error");
    sqlx::query("UPDATE data_keys SET all_sealed = 0").execute(&store.writer).await.unwrap();
    assert_eq!(store.seal_all().await.unwrap(), 1);
    assert_eq!(error().await, "an old error");
    let left = "SELECT COUNT(*) FROM messages WHERE error_message IS NOT NULL";
    let left: i64 = sqlx::query_scalar(left).fetch_one(&store.readers).await.unwrap();
    assert_eq!(left, 0);
}

#[tokio::test]
async fn with_an_account_its_key_is_gone() {
    let (store, _dir) = store().await;
    let user = user(&store, "a").await;
    say_everything(&store, &user, 1).await;
    store.delete_person(user.id).await.unwrap();
    let left: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM data_keys").fetch_one(&store.readers).await.unwrap();
    assert_eq!(left, 0);
    assert_eq!(store.keys_of(user.id).await.unwrap().generation(), 0, "nor in memory");
}

/// `cargo test -p starling-gateway --lib figures_of_the_store -- --ignored --nocapture`
#[tokio::test]
#[ignore = "measures"]
async fn figures_of_the_store() {
    let (store, _dir) = store().await;
    let user = user(&store, "a").await;
    let words = "the quick brown fox jumps over the lazy dog ".repeat(24);
    let id = store.create_conversation(user.id, Some(text("t")), None).await.unwrap().id;
    ask(&store, &user, Place::In { id, after: 0 }).await;
    let whole_one = said(&store, &user, id).await;
    for _ in 0..1_000 {
        let mut new = whole_one.clone();
        new.conversation.id = ConversationId::generate();
        let message = Message { text: text(&words), ..new.messages[0].clone() };
        new.messages = (1..=20)
            .map(|number| {
                let position = super::super::branches::Position { number, ..message.position.clone() };
                Message { id: TurnId::generate(), position, ..message.clone() }
            })
            .collect();
        for at in 1..20 {
            new.messages[at].position.parent = Some(new.messages[at - 1].id);
        }
        store.import(user.id, &new).await.unwrap();
    }
    let began = std::time::Instant::now();
    assert!(store.search(user.id, "nothing of the kind", 10).await.unwrap().is_empty());
    println!("search through 1,000 conversations of 20 messages of 1 KB: {:?}", began.elapsed());
    let (mut accepting, mut finishing) = (Duration::ZERO, Duration::ZERO);
    for _ in 0..100 {
        let began = std::time::Instant::now();
        let (_, turn) = ask(&store, &user, new_place()).await;
        accepting += began.elapsed();
        let began = std::time::Instant::now();
        store.finish(turn, &whole(&words)).await.unwrap().unwrap();
        finishing += began.elapsed();
    }
    println!("a question: {:?}, its answer: {:?}", accepting / 100, finishing / 100);
    let key = vault::Key::generate();
    let place = vault::Place { table: "messages", row: "1", owner: "a" };
    for cipher in [Cipher::Xchacha20Poly1305, Cipher::Aes256Gcm] {
        let began = std::time::Instant::now();
        for _ in 0..1_000 {
            let sealed = key.seal(cipher, 1, place, &words.as_bytes().repeat(4)[..4096]);
            assert!(key.open(&sealed, place).is_ok());
        }
        println!("4 KB sealed and opened, {cipher:?}: {:?}", began.elapsed() / 1_000);
    }
}
