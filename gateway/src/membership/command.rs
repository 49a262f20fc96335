//! `starling-gateway invite` and `starling-gateway join`.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use starling_protocol::{
    join,
    membership::{Clock, Invite, MemberRole},
    program::{self, Exit, SwarmOptions, parse_span},
    swarm::Role,
};

use super::{Files, make_invite};
use crate::{
    config::{DatabaseOption, MasterOption},
    store::{
        Database, OpenError, Sealing, Store,
        invites::{MAX_USES, NewInvite},
    },
};

/// The flags of `starling-gateway invite`.
#[derive(clap::Args, Clone, Debug)]
pub struct InviteOptions {
    /// The gateway's folder, as it is started with [default: the platform's own].
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    #[command(flatten)]
    pub database: DatabaseOption,
    #[command(flatten)]
    pub master: MasterOption,
    /// How many machines may join with it.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_USES)))]
    pub uses: u32,
    /// How long it lasts, such as 30m, 12h or 7d.
    #[arg(long, value_name = "TIME", default_value = "7d", value_parser = parse_span)]
    pub expires: Duration,
    /// For another gateway, in place of nodes.
    #[arg(long)]
    pub gateway: bool,
    /// What it is called in the list of invites.
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub label: String,
}

/// The flags of `starling-gateway join`.
#[derive(clap::Args, Clone, Debug)]
pub struct JoinOptions {
    /// The string that the swarm's gateway has printed.
    pub invite: String,
    #[command(flatten)]
    pub swarm: SwarmOptions,
    #[command(flatten)]
    pub database: DatabaseOption,
    #[command(flatten)]
    pub master: MasterOption,
    /// What the other gateway calls this one in its list of members.
    #[arg(long, value_name = "NAME", default_value = "gateway")]
    pub name: String,
}

/// Makes an invite in the database of a gateway that may be running, and prints it.
///
/// # Errors
/// When the gateway has never run, or makes no members.
pub async fn invite(options: &InviteOptions) -> Result<(), Exit> {
    let data = program::data_dir(options.data.clone(), "gateway")?;
    let (database, hint) = (options.database.of(&data)?, "start it once with starling-gateway run");
    let never_ran = || Exit::usage(format!("no gateway has run in {} yet", data.display()), hint);
    if is_missing(&database) {
        return Err(never_ran());
    }
    if !Files::new(&data).key.is_file() {
        let hint = "run this on the gateway that founded the swarm, or copy its swarm.key here";
        return Err(Exit::usage("this gateway has joined a swarm and does not hold its key", hint));
    }
    let sealing = Sealing::with(options.master.of(&data)?);
    let store = Store::open(&database, &sealing).await.map_err(|error| exit_of(&error))?;
    let at = store.whereabouts().await.map_err(Exit::failed)?.ok_or_else(never_ran)?;
    let role = if options.gateway { MemberRole::Gateway } else { MemberRole::Node };
    let new = NewInvite {
        label: options.label.clone(),
        role,
        max_uses: options.uses,
        lifetime: options.expires,
        created_by: None,
        printed: false,
    };
    let made = make_invite(&store, at, &new).await.map_err(Exit::failed)?;
    let (_, invite) = made.ok_or_else(|| {
        Exit::usage("there are too many invites that nobody has used", "revoke some of them in the web chat")
    })?;
    program::say(invite);
    store.close().await;
    Ok(())
}

/// Makes this gateway one of another's swarm.
///
/// # Errors
/// When the invite is not taken, or this gateway has a swarm of its own already.
pub async fn join(options: &JoinOptions) -> Result<(), Exit> {
    let _log = options.swarm.init_log()?;
    let invite: Invite = options.invite.parse()?;
    let data = options.swarm.data_dir("gateway")?;
    let files = Files::new(&data);
    refuse_founder(options, &data, &files).await?;
    let config = options.swarm.swarm_config(Role::Gateway, &data, false)?;
    let membership = join::join(config, &invite, &options.name, Clock::default()).await?;
    let claims = membership.certificate.claims().ok_or_else(|| Exit::failed("the certificate cannot be read"))?;
    if claims.role != MemberRole::Gateway {
        let hint = "ask for one that was made with starling-gateway invite --gateway";
        return Err(Exit::usage("this invite is for a node and not for a gateway", hint));
    }
    membership.save(&files.membership).map_err(|error| Exit::failed(format!("the membership: {error}")))?;
    if files.key.exists() {
        // Nobody is a member of that swarm; its key is kept aside rather than lost.
        let aside = files.key.with_extension("key.unused");
        std::fs::rename(&files.key, aside).map_err(|error| Exit::failed(format!("the swarm's key: {error}")))?;
    }
    program::say(format_args!("joined {}", claims.swarm));
    Ok(())
}

/// A swarm with members is not left by mistake.
async fn refuse_founder(options: &JoinOptions, data: &Path, files: &Files) -> Result<(), Exit> {
    let database = options.database.of(data)?;
    if !files.key.exists() || is_missing(&database) {
        return Ok(());
    }
    let store =
        Store::open(&database, &Sealing::with(options.master.of(data)?)).await.map_err(|error| exit_of(&error))?;
    let founder = store.has_members(None).await.map_err(Exit::failed)?;
    store.close().await;
    if founder {
        let hint = "choose another folder for the second gateway with --data DIR";
        return Err(Exit::usage("this gateway has founded a swarm, and the swarm has members", hint));
    }
    Ok(())
}

fn is_missing(database: &Database) -> bool {
    database.file().is_some_and(|file| !file.is_file())
}

fn exit_of(error: &OpenError) -> Exit {
    Exit::usage(error, error.hint())
}
