//! Access tokens: signed claims of who somebody is, for some minutes (EdDSA over Ed25519, in the form of RFC 9068).
//!
//! Whoever holds the signing key makes them, and nobody else: a request without one of ours is refused without a look at
//! the database. What its bearer may still do is for [`Sessions`](crate::sessions::Sessions) to say. All that a token
//! could leave open is fixed: one header, one algorithm, one issuer, and each claim of one JSON type.

use std::{fmt, time::Duration};

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, jwk::Jwk};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::{
    clock::Timestamp,
    id::{SessionId, UserId},
    store::users::{Role, User},
};

/// What the signing key is derived for.
pub const PURPOSE: &str = "access tokens";
const ISSUER: &str = "starling-gateway";
const AUDIENCE: &str = "starling-api";
/// No other kind of JWT counts as one of these.
const TYPE: &str = "at+jwt";
/// Ours have about 400 bytes.
pub const MAX_TOKEN_BYTES: usize = 1_024;
/// What stands before the 32 bytes of an Ed25519 seed in PKCS #8 (RFC 8410).
const PKCS8: [u8; 16] = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];

/// Makes tokens and checks them.
pub struct AccessTokens {
    sign: EncodingKey,
    check: DecodingKey,
    validation: Validation,
    /// The one header there is, encoded: a token with another one is none of ours.
    header: String,
    life: Duration,
}

/// A token for its bearer.
pub struct AccessToken {
    /// To be sent to its bearer, and to nobody else.
    pub text: String,
    /// How long it counts from now.
    pub life: Duration,
}

/// What a token says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Claims {
    iss: String,
    aud: String,
    /// Who.
    pub sub: UserId,
    /// Until when, in seconds since 1970.
    pub exp: i64,
    iat: i64,
    /// The session it was made for.
    pub sid: SessionId,
    /// The role at that time; what counts is the role now.
    role: Role,
}

impl AccessTokens {
    /// Tokens that last so long, signed with the key of this seed.
    ///
    /// # Panics
    /// Never: any 32 bytes are an Ed25519 seed.
    #[must_use]
    pub fn new(seed: &Zeroizing<[u8; 32]>, life: Duration) -> Self {
        let private = Zeroizing::new([PKCS8.as_slice(), seed.as_ref()].concat());
        let sign = EncodingKey::from_ed_der(&private);
        let public = Jwk::from_encoding_key(&sign, Algorithm::EdDSA).and_then(|public| DecodingKey::from_jwk(&public));
        let sample = jsonwebtoken::encode(&header(), &(), &sign).expect("an Ed25519 key signs anything");
        let header = sample.split('.').next().unwrap_or_default().to_owned();
        let check = public.expect("any 32 bytes are an Ed25519 seed");
        Self { sign, check, validation: validation(), header, life }
    }

    /// A token for a session.
    ///
    /// # Panics
    /// Never: the key signs anything.
    #[must_use]
    pub fn issue(&self, user: &User, session: SessionId, now: Timestamp) -> AccessToken {
        let claims = Claims {
            iss: ISSUER.to_owned(),
            aud: AUDIENCE.to_owned(),
            sub: user.id,
            exp: now.after(self.life).seconds(),
            iat: now.seconds(),
            sid: session,
            role: user.role,
        };
        let text = jsonwebtoken::encode(&header(), &claims, &self.sign).expect("an Ed25519 key signs anything");
        AccessToken { text, life: self.life }
    }

    /// What a token says, if it is one of ours and counts now.
    #[must_use]
    pub fn check(&self, token: &str, now: Timestamp) -> Option<Claims> {
        let header = token.get(..MAX_TOKEN_BYTES.min(token.len()))?.split('.').next()?;
        if token.len() > MAX_TOKEN_BYTES || header != self.header {
            return None;
        }
        let claims = jsonwebtoken::decode::<Claims>(token, &self.check, &self.validation).ok()?.claims;
        (claims.exp > now.seconds()).then_some(claims)
    }
}

impl fmt::Debug for AccessTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AccessTokens")
    }
}

impl fmt::Debug for AccessToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AccessToken")
    }
}

impl Claims {
    /// How long it still counts.
    #[must_use]
    pub fn remaining(&self, now: Timestamp) -> Duration {
        let milliseconds = self.exp.saturating_mul(1_000).saturating_sub(now.0);
        Duration::from_millis(u64::try_from(milliseconds).unwrap_or(0))
    }
}

fn header() -> Header {
    Header { typ: Some(TYPE.to_owned()), ..Header::new(Algorithm::EdDSA) }
}

fn validation() -> Validation {
    let mut validation = Validation::new(Algorithm::EdDSA);
    validation.set_issuer(&[ISSUER]);
    validation.set_audience(&[AUDIENCE]);
    // A claim that is not named here and has the wrong JSON type counts as absent, and absent as right.
    validation.set_required_spec_claims(&["exp", "sub", "iss", "aud"]);
    validation.leeway = 0;
    validation
}

#[cfg(test)]
pub(crate) mod tests;
