//! A gateway's database, looked at and got in the way of from another process.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};
use serde_json::json;
use sqlx::{
    Connection, Row,
    sqlite::{SqliteConnectOptions, SqliteConnection},
};
use starling_gateway::{
    master::MasterKey,
    secret::{KEY_PREFIX, Token},
    store::{Sealing, Store, keys::NewKey, users::Role},
};
use tokio::io::AsyncReadExt;

#[derive(clap::Args)]
#[group(skip)]
pub(crate) struct File {
    /// The database.
    file: PathBuf,
}

#[derive(clap::Args)]
#[group(skip)]
pub(crate) struct Person {
    /// The database.
    file: PathBuf,
    /// What they are called.
    name: String,
}

pub(crate) async fn messages(file: &File) -> Result<()> {
    let (store, mut connection) = (store(&file.file).await?, open(&file.file, true).await?);
    let sql = "SELECT user_id, conversation_id, messages.id AS id, role, status, error_code
               FROM messages JOIN conversations ON conversations.id = conversation_id ORDER BY conversation_id, position";
    for row in sqlx::query(sql).fetch_all(&mut connection).await? {
        let text = |name: &str| row.try_get::<Option<String>, _>(name);
        let id = |name: &str| row.try_get::<&str, _>(name);
        let message =
            store.message(id("user_id")?.parse()?, id("conversation_id")?.parse()?, id("id")?.parse()?).await?;
        println!(
            "{}",
            json!({
                "conversation": text("conversation_id")?, "id": text("id")?, "role": text("role")?,
                "text": message.map(|message| message.text.0), "status": text("status")?, "error": text("error_code")?,
            })
        );
    }
    store.close().await;
    Ok(())
}

/// What was said is sealed: the gateway's key, beside its database, opens it.
async fn store(file: &Path) -> Result<Store> {
    let master = MasterKey::load_or_create(&file.with_file_name("master.key"));
    let master = master.map_err(|exit| anyhow!("{exit:?}"))?;
    Ok(Store::open(&file.into(), &Sealing::with(master)).await?)
}

pub(crate) async fn lock(file: &File) -> Result<()> {
    let mut connection = open(&file.file, false).await?;
    sqlx::query("BEGIN IMMEDIATE").execute(&mut connection).await?;
    println!("locked");
    tokio::io::stdin().read_to_end(&mut vec![]).await?;
    sqlx::query("ROLLBACK").execute(&mut connection).await?;
    Ok(())
}

/// Only the first person is made over HTTP so far.
pub(crate) async fn person(person: &Person) -> Result<()> {
    let store = store(&person.file).await?;
    let user = store.create_user(&person.name, "nobody signs in as this one", Role::User).await?;
    let key = Token::generate(KEY_PREFIX);
    store.create_key(user.id, &NewKey::open("faults"), &key.digest()).await?.context("no room for a key")?;
    println!("key {}", key.reveal());
    store.close().await;
    Ok(())
}

async fn open(file: &Path, read_only: bool) -> Result<SqliteConnection> {
    let options = SqliteConnectOptions::new().filename(file).read_only(read_only);
    SqliteConnection::connect_with(&options).await.with_context(|| format!("cannot open {}", file.display()))
}
