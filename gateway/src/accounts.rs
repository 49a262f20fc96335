//! How accounts are handled: the gateway's options for them.

use std::time::Duration;

use crate::{
    cidr::Cidr,
    limits::{Rule, Rules},
    store::tokens::MAX_BUDGET,
};

/// Flags about accounts.
#[derive(clap::Args, Clone, Debug)]
pub struct AccountOptions {
    /// Who may make an account.
    #[arg(long, value_name = "WHO", value_enum, default_value_t = SignUp::Invitation)]
    pub sign_up: SignUp,
    /// Minutes for which an access token counts; the web chat renews its own before that.
    #[arg(long, value_name = "MINUTES", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=1440))]
    pub access_minutes: u32,
    /// A proxy whose X-Forwarded-For or Forwarded is believed, as an address or a network; may be given again.
    #[arg(long, value_name = "CIDR")]
    pub trusted_proxy: Vec<Cidr>,
    /// Requests from one address (IPv6: from one /64), a minute and at once; 0 for no limit.
    #[arg(long, value_name = "N[:BURST]", default_value_t = Rules::default().address)]
    pub limit_address: Rule,
    /// Requests of one person, however they come.
    #[arg(long, value_name = "N[:BURST]", default_value_t = Rules::default().user)]
    pub limit_user: Rule,
    /// Requests with one API key.
    #[arg(long, value_name = "N[:BURST]", default_value_t = Rules::default().key)]
    pub limit_key: Rule,
    /// Sign-ins from one address. Wrong passwords have a stricter limit of their own.
    #[arg(long, value_name = "N[:BURST]", default_value_t = Rules::default().sign_in)]
    pub limit_sign_in: Rule,
    /// Accounts made from one address.
    #[arg(long, value_name = "N[:BURST]", default_value_t = Rules::default().sign_up)]
    pub limit_sign_up: Rule,
    /// Tokens, asked and answered, that a person may use in a calendar month (UTC) unless an administrator has given that
    /// person another budget; 0 for no limit.
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u64).range(..=MAX_BUDGET))]
    pub tokens_per_month: u64,
}

/// Who may make an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum SignUp {
    /// Everybody.
    Open,
    /// Who has an invitation of an administrator.
    Invitation,
    /// Nobody; `starling-gateway user add` makes accounts.
    Closed,
}

impl Default for AccountOptions {
    fn default() -> Self {
        Self::limited(Rules::default())
    }
}

impl AccountOptions {
    /// Without limits, for tests and measurements.
    #[must_use]
    pub fn unlimited() -> Self {
        Self::limited(Rules::NONE)
    }

    /// The defaults with these limits.
    #[must_use]
    pub fn limited(rules: Rules) -> Self {
        Self {
            sign_up: SignUp::Invitation,
            access_minutes: 10,
            trusted_proxy: vec![],
            limit_address: rules.address,
            limit_user: rules.user,
            limit_key: rules.key,
            limit_sign_in: rules.sign_in,
            limit_sign_up: rules.sign_up,
            tokens_per_month: 0,
        }
    }

    /// How long an access token counts.
    #[must_use]
    pub fn access_life(&self) -> Duration {
        Duration::from_secs(60 * u64::from(self.access_minutes))
    }

    /// How much each may ask for.
    #[must_use]
    pub fn limits(&self) -> Rules {
        Rules {
            address: self.limit_address,
            user: self.limit_user,
            key: self.limit_key,
            sign_in: self.limit_sign_in,
            sign_up: self.limit_sign_up,
        }
    }
}
