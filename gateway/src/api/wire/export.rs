//! The page's TypeScript types, made of the Rust ones and committed.
//!
//! `STARLING_EXPORT=1 cargo test -p starling-gateway export_bindings` writes them anew.
#![cfg(test)]

use std::path::Path;

use ts_rs::{Config, TS};

use super::{frames, *};
use crate::{
    clock::Timestamp,
    id::{AuditId, CharacterId, ConversationId, InvitationId, InviteId, KeyId, MemoryId, MessageId, SessionId, UserId},
};

const HEAD: &str = "// Made of the Rust types in gateway/src/api/wire; do not edit.\n\
    // Anew: STARLING_EXPORT=1 cargo test -p starling-gateway export_bindings\n";

macro_rules! declare {
    ($config:expr, $($name:ty),* $(,)?) => {
        vec![$(format!("export {}\n", <$name>::decl($config))),*]
    };
}

fn typescript() -> String {
    // Every number here is far below 2^53: JSON.parse gives numbers, never bigints.
    let config = Config::new().with_large_int("number");
    format!("{HEAD}\n{}", [parts(&config), answers(&config), people(&config)].concat().join("\n"))
}

/// What bodies are made of.
fn parts(config: &Config) -> Vec<String> {
    declare!(
        config,
        UserId,
        ConversationId,
        MessageId,
        CharacterId,
        KeyId,
        InviteId,
        AuditId,
        MemoryId,
        Timestamp,
        UserRole,
        User,
        Conversation,
        MessageRole,
        MessageStatus,
        FinishReason,
        Message,
        UsedMemory,
        Answer,
        ErrorBody,
        super::Path,
        PausedView,
        PauseReason,
    )
}

/// The swarm and its people, and whole bodies.
fn answers(config: &Config) -> Vec<String> {
    declare!(
        config,
        NodeView,
        GpuView,
        MemoryView,
        OfferView,
        LoadableView,
        ModelState,
        NetworkView,
        Nat,
        ModelView,
        KeyScope,
        TokenBudget,
        ApiKey,
        MemberRole,
        Invite,
        Member,
        RefusedPeers,
        ErrorAnswer,
        SetupState,
        SetupRequest,
        SignInRequest,
        SessionAnswer,
        UserAnswer,
        SessionId,
        SessionView,
        SessionList,
        ModelList,
        SwarmView,
        ConversationList,
        Character,
        SamplingDefaults,
        CharacterList,
        NewCharacter,
        CharacterAnswer,
        NewPicture,
        MemoryKind,
        super::Memory,
        MemoryList,
        MemoryText,
        MemoryAnswer,
        MemoryStanding,
        MemorySwitch,
        NewConversation,
        ChangeConversation,
        ConversationAnswer,
        ConversationDetail,
        GoOnAnswer,
        ChangeNode,
        AuditEntry,
        AuditList,
        KeyList,
        NewKey,
        KeyAnswer,
        InviteList,
        NewInvite,
        InviteAnswer,
        Installs,
        MemberList,
        topology::PeerRole,
        topology::PeerLink,
        topology::TopologyPeer,
        topology::TopologyPulse,
        topology::TopologyWhat,
        topology::TopologyEvent,
        topology::TopologyTotals,
        frames::ClientFrame,
        frames::SwarmSummary,
        frames::ServerFrame,
    )
}

/// Accounts, and who makes them.
fn people(config: &Config) -> Vec<String> {
    declare!(
        config,
        SignUpMode,
        SignUpRequest,
        NewPassword,
        DeleteAccount,
        Person,
        PersonList,
        ChangePerson,
        PersonAnswer,
        InvitationId,
        Invitation,
        InvitationList,
        NewInvitation,
        InvitationAnswer,
        MyNode,
        MyNodes,
        FigureSpan,
        FigureSample,
        FigureList,
        LimitUnit,
        LimitView,
        LimitList,
    )
}

#[test]
fn export_bindings() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../ui/src/wire/index.ts");
    let made = typescript();
    if std::env::var_os("STARLING_EXPORT").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, made).unwrap();
        return;
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default().replace("\r\n", "\n");
    assert!(
        committed == made,
        "ui/src/wire/index.ts is not what the Rust types say; its first lines tell how to renew it"
    );
}
