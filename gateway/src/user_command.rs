//! `starling-gateway user`: accounts without the web, beside a gateway that may be running, which sees a change within a
//! minute.

use std::{
    io::{self, BufRead},
    path::PathBuf,
};

use starling_protocol::{
    message::Private,
    program::{self, Exit},
};

use crate::{
    api::auth::{check_password, check_username},
    config::{DatabaseOption, MasterOption},
    password::Passwords,
    store::{
        Sealing, Store, StoreError,
        audit::{Action, Entry},
        people::{Changed, Person, PersonChange},
        users::Role,
    },
};

/// More than any password may have, and its end of line.
const MAX_INPUT: u64 = 1_024;

/// The flags of `starling-gateway user`.
#[derive(clap::Args, Clone, Debug)]
pub struct UserOptions {
    /// What to do.
    #[command(subcommand)]
    pub what: What,
    /// The gateway's folder, as it is started with [default: the platform's own].
    #[arg(long, value_name = "DIR", global = true)]
    pub data: Option<PathBuf>,
    #[command(flatten)]
    pub database: DatabaseOption,
    #[command(flatten)]
    pub master: MasterOption,
}

/// What to do with an account.
#[derive(clap::Subcommand, Clone, Debug)]
pub enum What {
    /// Make an account; its password is the first line of the input.
    Add {
        /// 3 to 32 of a-z, 0-9, '_', '.' and '-'.
        name: String,
        /// What it may do.
        #[arg(long, value_enum, default_value_t = Role::Admin)]
        role: Role,
    },
    /// Give it another password, the first line of the input, and end all its sessions.
    Password {
        /// The account.
        name: String,
    },
    /// Give it another role.
    Role {
        /// The account.
        name: String,
        /// What it may do from now on.
        #[arg(value_enum)]
        role: Role,
    },
    /// Seal all that it has said with another key; a gateway may run.
    RotateKey {
        /// The account.
        name: String,
    },
}

/// Changes the database of a gateway.
///
/// # Errors
/// When there is no such gateway or account, or the name or the password may not be one.
pub async fn user(options: &UserOptions) -> Result<(), Exit> {
    let data = program::data_dir(options.data.clone(), "gateway")?;
    let database = options.database.of(&data)?;
    let sealing = Sealing::with(options.master.of(&data)?);
    let store = Store::open(&database, &sealing).await.map_err(|error| Exit::usage(&error, error.hint()))?;
    let done = change(&store, &options.what).await;
    let noted = match &done {
        Ok((name, action, _)) => store.note(&Entry::at_console(*action, name)).await,
        Err(_) => Ok(()),
    };
    store.close().await;
    program::say(done?.2);
    // What was done stays done.
    noted.map_err(|error| Exit::failed(format_args!("it is done, but not in the audit log: {error}")))
}

/// Whose account it was, what was done to it, and what is said of that.
async fn change(store: &Store, what: &What) -> Result<(String, Action, String), Exit> {
    match what {
        What::Add { name, role } => {
            let name = name.to_ascii_lowercase();
            check_username(&name).map_err(|error| Exit::usage(error, "choose another name"))?;
            let hash = hash(read_password(io::stdin().lock())?).await?;
            match store.create_user(&name, &hash, *role).await {
                Ok(_) => Ok(done("made", name, Action::UserMade)),
                Err(StoreError::Conflict) => {
                    let hint = "give it another password with starling-gateway user password";
                    Err(Exit::usage(format!("there is an account {name} already"), hint))
                }
                Err(error) => Err(Exit::failed(error)),
            }
        }
        What::Password { name } => {
            let person = find(store, name).await?;
            let hash = hash(read_password(io::stdin().lock())?).await?;
            store.set_password(person.user.id, &hash).await.map_err(Exit::failed)?;
            store.delete_sessions(person.user.id, None).await.map_err(Exit::failed)?;
            Ok(done("changed", person.user.username, Action::PasswordChanged))
        }
        What::RotateKey { name } => {
            let person = find(store, name).await?;
            store.rotate_key(person.user.id).await.map_err(Exit::failed)?;
            Ok(done("sealed anew for", person.user.username, Action::DataKeyReplaced))
        }
        What::Role { name, role } => {
            let person = find(store, name).await?;
            let change = PersonChange { role: Some(*role), ..PersonChange::default() };
            match store.change_person(person.user.id, change).await.map_err(Exit::failed)? {
                Changed::LastAdministrator => {
                    let hint = "make another administrator first, with starling-gateway user add";
                    Err(Exit::usage("this is the last administrator", hint))
                }
                Changed::Now(_) | Changed::Unknown => Ok(done("changed", person.user.username, Action::RoleChanged)),
            }
        }
    }
}

fn done(what: &str, name: String, action: Action) -> (String, Action, String) {
    let said = format!("{what} {name}");
    (name, action, said)
}

async fn find(store: &Store, name: &str) -> Result<Person, Exit> {
    let person = store.person_named(&name.to_ascii_lowercase()).await.map_err(Exit::failed)?;
    person.ok_or_else(|| {
        Exit::usage(format!("there is no account {name}"), "look at its spelling, and at --data and --database")
    })
}

async fn hash(password: Private) -> Result<String, Exit> {
    Passwords::default().hash(password).await.map_err(Exit::failed)
}

/// The first line.
fn read_password(input: impl BufRead) -> Result<Private, Exit> {
    let mut line = String::new();
    input.take(MAX_INPUT).read_line(&mut line).map_err(Exit::failed)?;
    let password = Private(line.trim_end_matches(['\r', '\n']).to_owned());
    check_password(&password.0).map_err(|error| Exit::usage(error, "write it on the first line of the input"))?;
    Ok(password)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{password::Verdict, store::tests::store};

    #[test]
    fn a_password_is_the_first_line() {
        assert_eq!(read_password("a good password\r\nmore".as_bytes()).unwrap().0, "a good password");
        assert!(read_password("short".as_bytes()).is_err());
        assert!(read_password("x".repeat(5_000).as_bytes()).is_err());
    }

    #[tokio::test]
    async fn the_last_administrator_stays_one() {
        let (store, _dir) = store().await;
        let admin = store.create_user("anna", "x", Role::Admin).await.unwrap();
        let role = |name: &str, role| What::Role { name: name.to_owned(), role };
        assert!(change(&store, &role("anna", Role::User)).await.is_err());
        assert!(change(&store, &role("nobody", Role::User)).await.is_err());
        store.create_user("ben", "x", Role::Worker).await.unwrap();
        change(&store, &role("BEN", Role::Admin)).await.unwrap();
        change(&store, &role("anna", Role::User)).await.unwrap();
        assert_eq!(store.person_named("anna").await.unwrap().unwrap().user.id, admin.id);
        let hash = hash(Private("a good password".to_owned())).await.unwrap();
        let verdict = Passwords::default().verify(Private("a good password".to_owned()), Some(hash)).await.unwrap();
        assert_eq!(verdict, Verdict::Right);
    }
}
