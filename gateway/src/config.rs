//! What the gateway is started with: parsed from flags and file by clap, checked once, passed down.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    time::Duration,
};

use starling_protocol::{
    members::Standing,
    membership::{Membership, SwarmId},
    message::Private,
    program::{Exit, LogFileOptions, LogFormat, SwarmOptions},
    swarm::{self, Role},
};

use crate::{
    accounts::AccountOptions,
    cache::RedisUrl,
    master::MasterKey,
    membership::{self, Files},
    memory, releases,
    scheduler::Rules,
    store::{Database, DatabaseUrl},
    tls::TlsFiles,
    vault::Cipher,
};

/// How long answers may go on when the gateway is told to stop. What then still runs is kept, and goes on after the next
/// start; with that and the good-byes it takes no more than half a minute.
const GRACE: Duration = Duration::from_secs(20);

/// The flags of `starling-gateway run`.
#[derive(clap::Args, Clone, Debug)]
pub struct Options {
    #[command(flatten)]
    pub swarm: SwarmOptions,
    /// Address of the web chat and the API; port 0 takes a free one.
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:8080")]
    pub http: SocketAddr,
    /// Be the swarm's first address and relay too: for a gateway that the internet can reach.
    #[arg(long)]
    pub relay: bool,
    /// How people reach the web chat when a proxy stands before it, such as https://chat.example.org.
    #[arg(long, value_name = "URL", value_parser = parse_origin)]
    pub public_url: Option<String>,
    /// Answers that a new node gives one at a time, and well, before it gets several at once.
    #[arg(long, value_name = "N", default_value_t = Rules::default().trials)]
    pub trial_answers: u32,
    /// Tokens of an answer from which on an idle node computes it too, so that it can go on there at once; 0 for never.
    #[arg(long, value_name = "TOKENS", default_value_t = Rules::default().warm_after)]
    pub warm_after: u32,
    /// What a new conversation is called: the first words of its question, or what the model finds after its answer.
    #[arg(long, value_name = "BY", value_enum, default_value_t = Titles::Model)]
    pub titles: Titles,
    /// Certificate chain in PEM, the gateway's own first: serves people over TLS, without a proxy. Read anew when it
    /// changes. Needs --tls-key.
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,
    /// Private key of --tls-cert, in PEM.
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,
    #[command(flatten)]
    pub memory: memory::Options,
    #[command(flatten)]
    pub master: MasterOption,
    /// How what people say is sealed at rest. What another one has sealed stays readable.
    #[arg(long, value_name = "NAME", value_enum, default_value_t = Cipher::default())]
    pub cipher: Cipher,
    #[command(flatten)]
    pub database: DatabaseOption,
    #[command(flatten)]
    pub accounts: AccountOptions,
    /// A Redis, redis://HOST:PORT or rediss:// for TLS, that the gateways on one database share: then limits hold over
    /// all of them, windows are in step, and one goes on with the answers of another. One with a password belongs into
    /// the environment or the configuration file.
    #[arg(long, value_name = "URL", env = "STARLING_REDIS", hide_env_values = true)]
    pub redis: Option<RedisUrl>,
    #[command(flatten)]
    pub releases: releases::Options,
}

/// Which database a gateway uses.
#[derive(clap::Args, Clone, Debug, Default)]
pub struct DatabaseOption {
    /// A MySQL or MariaDB database, mysql://USER:PASSWORD@HOST/DATABASE?ssl-mode=VERIFY_CA&ssl-ca=FILE, in place of the
    /// SQLite file in the data folder. One with a password belongs into the environment or the configuration file.
    #[arg(long, value_name = "URL", env = "STARLING_DATABASE", hide_env_values = true, value_parser = unchecked, global = true)]
    pub database: Option<Private>,
}

/// Where the master key is.
#[derive(clap::Args, Clone, Debug, Default)]
pub struct MasterOption {
    /// The file of the secret that keeps what people say from who has the database alone; made when it is not there.
    /// Gateways on one database share it. master.key in the data folder unless given.
    #[arg(long, value_name = "FILE", global = true)]
    pub master_key: Option<PathBuf>,
}

impl MasterOption {
    /// The master key of the gateway in that folder.
    ///
    /// # Errors
    /// When it can be neither read nor made.
    pub fn of(&self, data: &Path) -> Result<MasterKey, Exit> {
        MasterKey::load_or_create(self.master_key.as_deref().unwrap_or(&data.join("master.key")))
    }
}

/// Checked later: clap would show what it refuses, and with it a password.
fn unchecked(url: &str) -> Result<Private, std::convert::Infallible> {
    Ok(Private(url.to_owned()))
}

impl DatabaseOption {
    /// The database of the gateway in that folder.
    ///
    /// # Errors
    /// When the URL is none, or can be read by whoever lists this computer's processes.
    pub fn of(&self, data: &Path) -> Result<Database, Exit> {
        let Some(given) = &self.database else { return Ok(Database::Sqlite(data.join("starling.db"))) };
        let hint =
            "write it as mysql://user:password@host/database, with % and two digits for signs such as @ in a password";
        let url: DatabaseUrl = given.0.parse().map_err(|reason| Exit::usage(reason, hint))?;
        let shown = std::env::args_os().any(|argument| argument.to_string_lossy().contains(&given.0));
        if url.has_password() && shown {
            let hint = "set STARLING_DATABASE to it, or write database = \"…\" in the file after --config";
            return Err(Exit::usage("everybody on this computer can read the password after --database", hint));
        }
        Ok(Database::MySql(url))
    }
}

/// Who finds the title of a new conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Titles {
    /// Nobody: it is the question's first words.
    Words,
    /// The model that has answered, when nobody else waits for it.
    Model,
}

/// All there is to know to start a gateway.
#[derive(Debug)]
pub struct Config {
    /// Where it serves people.
    pub http: SocketAddr,
    /// The origin of its pages as people's browsers see it, when that is not what `Host` says.
    pub public_origin: Option<String>,
    /// Where the data is.
    pub database: Database,
    /// Its part in the swarm.
    pub swarm: swarm::Config,
    /// How it treats nodes.
    pub rules: Rules,
    /// What makes it a member.
    pub standing: Standing,
    /// Where what it knows as a member is kept.
    pub files: Files,
    /// How long answers may go on when it is told to stop.
    pub grace: Duration,
    /// Who finds titles.
    pub titles: Titles,
    /// How people's memory is used.
    pub memory: memory::Options,
    /// What its other keys come from.
    pub master: MasterKey,
    /// How what people say is sealed.
    pub cipher: Cipher,
    /// The certificate it shows people; none for plain HTTP.
    pub tls: Option<TlsFiles>,
    /// How accounts are handled.
    pub accounts: AccountOptions,
    /// What it shares with other gateways on its database.
    pub redis: Option<RedisUrl>,
    /// What it hands out to those who bring a node in.
    pub releases: releases::Options,
}

impl Config {
    /// Checks the options; reads or makes the identity key.
    ///
    /// # Errors
    /// A mistake that the operator can correct.
    pub fn check(options: &Options) -> Result<Self, Exit> {
        let data = options.swarm.data_dir("gateway")?;
        let alone = options.swarm.swarm_config(Role::Gateway, &data, options.relay)?;
        let files = Files::new(&data);
        let standing = membership::load(&files)?;
        let (swarm, addresses) = match &standing {
            Standing::Authority { key, .. } => (key.id(), vec![]),
            Standing::Member(member) => (swarm_of(member)?, member.addresses.clone()),
        };
        Ok(Self {
            http: options.http,
            public_origin: options.public_url.clone(),
            database: options.database.of(&data)?,
            swarm: options.swarm.of_swarm(alone, swarm, &addresses),
            standing,
            files,
            rules: Rules { trials: options.trial_answers, warm_after: options.warm_after },
            grace: GRACE,
            titles: options.titles,
            memory: options.memory.clone(),
            master: options.master.of(&data)?,
            cipher: options.cipher,
            tls: tls(options),
            accounts: options.accounts.clone(),
            redis: redis(options)?,
            releases: options.releases.clone(),
        })
    }

    /// Loopback and free ports, all data under `data`, and nodes that are trusted: for tests and trials, to be changed
    /// as needed.
    ///
    /// # Errors
    /// When the identity key cannot be made there.
    pub fn loopback(data: &Path) -> Result<Self, Exit> {
        let swarm = SwarmOptions {
            config: None,
            data: Some(data.to_owned()),
            listen: vec![],
            external: vec![],
            no_port_mapping: true,
            bootstrap: vec![],
            log: "info".to_owned(),
            log_format: LogFormat::Text,
            log_file: LogFileOptions::default(),
        };
        let http = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let (relay, public_url, warm_after) = (false, None, Rules::default().warm_after);
        let (titles, memory, cipher) = (Titles::Words, memory::Options::default(), Cipher::default());
        let (master, database, redis) = (MasterOption::default(), DatabaseOption::default(), None);
        let (tls_cert, tls_key) = (None, None);
        Self::check(&Options {
            swarm,
            http,
            relay,
            public_url,
            trial_answers: 0,
            warm_after,
            titles,
            tls_cert,
            tls_key,
            memory,
            master,
            cipher,
            database,
            accounts: AccountOptions::unlimited(),
            redis,
            releases: releases::Options::default(),
        })
    }
}

fn tls(options: &Options) -> Option<TlsFiles> {
    let (certificate, key) = options.tls_cert.clone().zip(options.tls_key.clone())?;
    Some(TlsFiles { certificate, key })
}

fn redis(options: &Options) -> Result<Option<RedisUrl>, Exit> {
    let Some(redis) = &options.redis else { return Ok(None) };
    redis.check().map_err(|error| Exit::usage(error, "write it as redis://user:password@host:6379"))?;
    if redis.has_password() && std::env::args_os().any(|argument| redis.is_in(&argument.to_string_lossy())) {
        let hint = "set STARLING_REDIS to it, or write redis = \"…\" in the file after --config";
        return Err(Exit::usage("everybody on this computer can read the password after --redis", hint));
    }
    Ok(Some(redis.clone()))
}

fn swarm_of(member: &Membership) -> Result<SwarmId, Exit> {
    let claims = member.certificate.claims();
    claims.map(|claims| claims.swarm).ok_or_else(|| {
        Exit::usage("this gateway's membership cannot be read", "delete membership.cbor and join again with an invite")
    })
}

/// The origin in a URL: scheme, host and port.
fn parse_origin(url: &str) -> Result<String, String> {
    let lower = url.trim_end_matches('/').to_ascii_lowercase();
    let rest = lower.strip_prefix("https://").or_else(|| lower.strip_prefix("http://"));
    let plain =
        |host: &str| !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-.:[]".contains(&b));
    match rest {
        Some(host) if plain(host) => Ok(lower),
        _ => Err("it must be http:// or https://, a host and perhaps a port, and no path".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        options: Options,
    }

    #[test]
    fn flags_and_defaults() {
        let Cli { options } = Cli::try_parse_from(["x"]).unwrap();
        assert_eq!(options.http, "127.0.0.1:8080".parse().unwrap());
        assert!(!options.relay);
        let Cli { options } = Cli::try_parse_from(["x", "--http", "0.0.0.0:0", "--relay"]).unwrap();
        assert_eq!((options.http, options.relay), ("0.0.0.0:0".parse().unwrap(), true));
        for bad in ["localhost:80", "127.0.0.1", "1"] {
            assert!(Cli::try_parse_from(["x", "--http", bad]).is_err(), "{bad}");
        }
    }

    #[test]
    fn public_urls_are_origins() {
        assert_eq!(parse_origin("https://Chat.example/").unwrap(), "https://chat.example");
        assert_eq!(parse_origin("http://[::1]:80").unwrap(), "http://[::1]:80");
        for bad in ["chat.example", "ftp://a", "https://", "https://a/b", "https://a?b", "https://a@b"] {
            assert!(parse_origin(bad).is_err(), "{bad}");
        }
    }
}
