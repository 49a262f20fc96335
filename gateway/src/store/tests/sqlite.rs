//! What is SQLite's alone: a file, its lock and its room.

use sqlx::sqlite::SqliteConnectOptions;

use super::*;

async fn file() -> (Store, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&Database::Sqlite(dir.path().join("starling.db")), &sealing()).await.unwrap();
    (store, dir)
}

#[tokio::test]
async fn a_lock_held_by_another_process_is_busy_not_broken() {
    let (store, dir) = file().await;
    let user = user(&store, "a").await;
    let mut other =
        sqlx::SqliteConnection::connect_with(&SqliteConnectOptions::new().filename(dir.path().join("starling.db")))
            .await
            .unwrap();
    sqlx::query("BEGIN IMMEDIATE").execute(&mut other).await.unwrap();
    assert!(matches!(store.create_conversation(user.id, Some(text("t")), None).await, Err(StoreError::Busy(_))));
    assert!(store.conversations(user.id, None, 1).await.is_ok(), "readers are not held up");
    sqlx::query("ROLLBACK").execute(&mut other).await.unwrap();
    assert!(store.create_conversation(user.id, Some(text("t")), None).await.is_ok());
}

#[tokio::test]
async fn a_full_disk_is_full_not_broken() {
    let (store, _dir) = file().await;
    let user = user(&store, "a").await;
    sqlx::query("PRAGMA max_page_count = 1").execute(&store.writer).await.unwrap();
    let long = text(&"x".repeat(1 << 20));
    assert!(matches!(
        store.accept(user.id, &new_place(), TurnId::generate(), &long, &fresh()).await,
        Err(StoreError::Full(_))
    ));
    assert!(store.conversations(user.id, None, 9).await.unwrap().is_empty(), "nothing of it was kept");
    sqlx::query("PRAGMA max_page_count = 100000").execute(&store.writer).await.unwrap();
    ask(&store, &user, new_place()).await;
}

#[tokio::test]
async fn a_transaction_that_sqlite_has_ended_by_itself_is_in_nobodys_way() {
    let (store, _dir) = file().await;
    let user = user(&store, "a").await;
    let mut write = store.write().await.unwrap();
    // As it does where the disk is full.
    sqlx::query("ROLLBACK").execute(&mut *write).await.unwrap();
    assert!(write.commit().await.is_err());
    ask(&store, &user, new_place()).await;
}

#[tokio::test]
async fn a_file_that_is_no_database_is_refused_with_a_hint() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("starling.db");
    std::fs::write(&path, "not a database, and long enough to be looked at as one".repeat(40)).unwrap();
    let error = Store::open(&Database::Sqlite(path), &sealing()).await.unwrap_err();
    assert!(matches!(error, OpenError::Refused { .. }), "{error}");
    assert!(error.hint().contains("--data"));
}

#[cfg(unix)]
#[tokio::test]
async fn the_database_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt;
    let (store, dir) = file().await;
    user(&store, "a").await;
    for file in std::fs::read_dir(dir.path()).unwrap() {
        let file = file.unwrap();
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{:?}", file.path());
    }
}

#[tokio::test]
async fn a_backup_is_made_while_people_write_and_comes_back_whole() {
    let (store, dir) = file().await;
    let user = user(&store, "a").await;
    let (id, turn) = ask(&store, &user, new_place()).await;
    store.finish(turn, &whole("kept")).await.unwrap();
    let (backup, path) = (dir.path().join("a backup.db"), dir.path().join("starling.db"));
    let writing = async {
        for _ in 0..20 {
            ask(&store, &user, new_place()).await;
        }
    };
    let (made, ()) = tokio::join!(store.backup(&backup), writing);
    made.unwrap();
    assert!(store.backup(&backup).await.is_err(), "what is there is not overwritten");
    store.delete_conversation(user.id, id).await.unwrap();
    let running = restore(&path, &backup).await.unwrap_err();
    assert!(running.to_string().contains("runs"), "{running}");
    store.close().await;
    std::fs::write(dir.path().join("none"), "nonsense").unwrap();
    assert!(restore(&path, &dir.path().join("none")).await.is_err());
    restore(&path, &backup).await.unwrap();
    let store = Store::open(&Database::Sqlite(path), &sealing()).await.unwrap();
    assert_eq!(texts(&shown(&store, &user, id).await), ["question", "kept"]);
    assert!(dir.path().join("starling.db.before-restore").exists());
}
