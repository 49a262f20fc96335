//! What this gateway holds people to, for administrators: as it was started, and with which option that is changed.

use axum::{Json as Answer, extract::State};

use super::{
    auth::SignedInAdministrator,
    wire::{LimitList, LimitUnit, LimitView},
};
use crate::{
    accounts::AccountOptions,
    app::App,
    limits::Rule,
    store::{characters::MAX_CHARACTERS, invites::MAX_LIVE_INVITES, keys::MAX_KEYS_PER_USER, memories::MAX_FACTS},
    turn::MAX_TURNS_PER_USER,
};

/// `GET /api/limits`
#[utoipa::path(
    get,
    path = "/api/limits",
    summary = "What this gateway holds people to, and which option changes it",
    responses((status = 200, description = "", body = LimitList)),
)]
pub(super) async fn list(State(app): State<App>, _: SignedInAdministrator) -> Answer<LimitList> {
    Answer(LimitList { sign_up: app.accounts.sign_up.into(), limits: limits(&app.accounts) })
}

fn limits(options: &AccountOptions) -> Vec<LimitView> {
    let most = |count: i64| u64::try_from(count).ok();
    vec![
        rate("address", options.limit_address),
        rate("user", options.limit_user),
        rate("key", options.limit_key),
        rate("sign_in", options.limit_sign_in),
        rate("sign_up", options.limit_sign_up),
        LimitView {
            name: "access_token".to_owned(),
            unit: LimitUnit::Minutes,
            most: Some(options.access_minutes.into()),
            burst: None,
            option: Some("access-minutes".to_owned()),
        },
        LimitView {
            name: "tokens".to_owned(),
            unit: LimitUnit::Each,
            most: (options.tokens_per_month > 0).then_some(options.tokens_per_month),
            burst: None,
            option: Some("tokens-per-month".to_owned()),
        },
        fixed("answers", u64::try_from(MAX_TURNS_PER_USER).ok()),
        fixed("keys", most(MAX_KEYS_PER_USER)),
        fixed("characters", most(MAX_CHARACTERS)),
        fixed("facts", most(MAX_FACTS)),
        fixed("invites", most(MAX_LIVE_INVITES)),
    ]
}

fn rate(name: &str, rule: Rule) -> LimitView {
    let is_limited = rule != Rule::NONE;
    LimitView {
        name: name.to_owned(),
        unit: LimitUnit::RequestsPerMinute,
        most: is_limited.then_some(rule.per_minute.into()),
        burst: is_limited.then_some(rule.burst),
        option: Some(format!("limit-{}", name.replace('_', "-"))),
    }
}

/// A bound that protects the gateway, and that nobody has had a reason to change yet.
fn fixed(name: &str, most: Option<u64>) -> LimitView {
    LimitView { name: name.to_owned(), unit: LimitUnit::Each, most, burst: None, option: None }
}

#[cfg(test)]
mod tests {
    use clap::Args;

    use super::*;

    #[test]
    fn each_option_that_is_named_is_one() {
        let command = AccountOptions::augment_args(clap::Command::new("x"));
        let known: Vec<&str> = command.get_arguments().filter_map(clap::Arg::get_long).collect();
        let named: Vec<String> =
            limits(&AccountOptions::default()).into_iter().filter_map(|limit| limit.option).collect();
        assert_eq!(named.len(), 7);
        for option in &named {
            assert!(known.contains(&option.as_str()), "{option} is none of {known:?}");
        }
        let every = known.iter().filter(|option| option.starts_with("limit-")).count();
        assert_eq!(named.iter().filter(|option| option.starts_with("limit-")).count(), every, "{known:?}");
    }

    #[test]
    fn no_limit_is_said_as_none() {
        let unlimited = limits(&AccountOptions::unlimited());
        assert_eq!((unlimited[0].most, unlimited[0].burst), (None, None));
        let limited = limits(&AccountOptions::default());
        assert_eq!((limited[0].most, limited[0].burst), (Some(6_000), Some(1_500)));
    }
}
