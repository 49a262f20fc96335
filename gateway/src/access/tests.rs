//! Forged tokens. The list is also sent to the routes and to the chat socket, by `api/tests/forged.rs`.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use super::*;

pub(crate) fn user() -> User {
    User { id: UserId::generate(), username: "anna".to_owned(), role: Role::User }
}

/// As JSON. A header's fields come in the order of our own, so that each forgery has one thing wrong and no other.
fn part(json: &Value) -> String {
    let text = json.to_string();
    let text = if *json == json!({"typ": TYPE, "alg": "EdDSA"}) {
        r#"{"typ":"at+jwt","alg":"EdDSA"}"#.to_owned()
    } else {
        text
    };
    BASE64_URL_SAFE_NO_PAD.encode(text)
}

/// Signed with our own key, whatever it says: what an attacker who could choose claims would send.
fn signed(tokens: &AccessTokens, header: &Value, claims: &Value) -> String {
    let message = format!("{}.{}", part(header), part(claims));
    let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &tokens.sign, Algorithm::EdDSA).unwrap();
    format!("{message}.{signature}")
}

fn with(value: &Value, name: &str, new: Value) -> Value {
    let mut value = value.clone();
    value[name] = new;
    value
}

fn without(value: &Value, name: &str) -> Value {
    let mut value = value.clone();
    value.as_object_mut().unwrap().remove(name);
    value
}

/// Tokens of which none counts, each with what is wrong with it.
pub(crate) fn forged(tokens: &AccessTokens, user: &User, session: SessionId) -> Vec<(String, String)> {
    let (head, says) = (json!({"typ": TYPE, "alg": "EdDSA"}), says(user, session));
    let mut all = torn(tokens, &tokens.issue(user, session, Timestamp::now()).text);
    all.extend(misheaded(tokens, &head, &says));
    all.extend(misclaimed(tokens, &head, &says));
    // HMAC with what anybody may know: the public key.
    let public = tokens.check.try_get_as_bytes().unwrap();
    for algorithm in [Algorithm::HS256, Algorithm::HS512] {
        let header = Header { typ: Some(TYPE.to_owned()), ..Header::new(algorithm) };
        let token = jsonwebtoken::encode(&header, &says, &EncodingKey::from_secret(public)).unwrap();
        all.push((format!("{algorithm:?} with the public key"), token));
    }
    let others = AccessTokens::new(&Zeroizing::new([9; 32]), tokens.life).issue(user, session, Timestamp::now()).text;
    all.push(("another key".to_owned(), others));
    all
}

/// What a good token says.
fn says(user: &User, session: SessionId) -> Value {
    let now = Timestamp::now().seconds();
    json!({"iss": ISSUER, "aud": AUDIENCE, "sub": user.id, "exp": now + 600, "iat": now, "sid": session, "role": "user"})
}

/// Pieces of a good token, put together otherwise.
fn torn(tokens: &AccessTokens, good: &str) -> Vec<(String, String)> {
    let parts: Vec<&str> = good.split('.').collect();
    let [header, claims, signature] = parts[..] else { panic!("{good}") };
    let none = part(&json!({"typ": TYPE, "alg": "none"}));
    let admin = part(&json!({"role": "admin"}));
    let others = signed(tokens, &json!({"typ": TYPE, "alg": "EdDSA"}), &json!({}));
    let others = others.split('.').nth(2).unwrap();
    [
        ("empty", String::new()),
        ("no dots", "token".to_owned()),
        ("only dots", "..".to_owned()),
        ("alg none", format!("{none}.{claims}.")),
        ("alg none with the signature", format!("{none}.{claims}.{signature}")),
        ("no signature", format!("{header}.{claims}.")),
        ("another token's signature", format!("{header}.{claims}.{others}")),
        ("two parts", format!("{header}.{claims}")),
        ("four parts", format!("{good}.{signature}")),
        ("doubled", format!("{good}{good}")),
        ("doubled with a blank", format!("{good} {good}")),
        ("truncated", good[..good.len() - 1].to_owned()),
        ("a byte more", format!("{good}A")),
        ("padded", format!("{good}=")),
        ("huge", "e".repeat(100_000)),
        ("not JSON", format!("{header}.{}.{signature}", BASE64_URL_SAFE_NO_PAD.encode("{"))),
        ("other claims", format!("{header}.{admin}.{signature}")),
    ]
    .map(|(what, token)| (what.to_owned(), token))
    .to_vec()
}

/// Well signed, with another header.
fn misheaded(tokens: &AccessTokens, head: &Value, says: &Value) -> Vec<(String, String)> {
    let jwk = json!({"kty": "OKP", "crv": "Ed25519", "x": BASE64_URL_SAFE_NO_PAD.encode([9; 32])});
    let headers = [
        ("typ", json!("JWT")),
        ("typ", json!(null)),
        ("alg", json!("eddsa")),
        ("alg", json!("ES256")),
        ("kid", json!("1")),
        ("jku", json!("https://evil.example/keys")),
        ("x5u", json!("https://evil.example/certificate")),
        ("jwk", jwk),
        ("crit", json!(["exp"])),
        ("b64", json!(false)),
        ("cty", json!("JWT")),
    ];
    let mut all: Vec<_> = headers
        .map(|(name, new)| (format!("header {name}: {new}"), signed(tokens, &with(head, name, new), says)))
        .to_vec();
    all.push(("no typ".to_owned(), signed(tokens, &without(head, "typ"), says)));
    all
}

/// Well signed, with another claim.
fn misclaimed(tokens: &AccessTokens, head: &Value, says: &Value) -> Vec<(String, String)> {
    let then = says["exp"].as_i64().unwrap();
    let claims = [
        ("exp", json!(then.to_string())),
        ("exp", json!(then as f64 + 0.5)),
        ("exp", json!(-1)),
        ("exp", json!(0)),
        ("exp", json!(then - 601)),
        ("exp", json!([then])),
        ("exp", json!({"at": then})),
        ("exp", json!(true)),
        ("exp", json!(null)),
        ("exp", json!(1e300)),
        ("iat", json!("now")),
        ("iss", json!("somebody")),
        ("iss", json!([ISSUER])),
        ("aud", json!("starling-refresh")),
        ("aud", json!([AUDIENCE, "other"])),
        ("sub", json!("anna")),
        ("sub", json!(5)),
        ("sid", json!("1")),
        ("role", json!("root")),
        ("role", json!("x".repeat(4_000))),
        ("nbf", json!(then)),
    ];
    let mut all: Vec<_> = claims
        .map(|(name, new)| (format!("claim {name}: {new:.40}"), signed(tokens, head, &with(says, name, new))))
        .to_vec();
    for name in ["exp", "iat", "iss", "aud", "sub", "sid", "role"] {
        all.push((format!("no {name}"), signed(tokens, head, &without(says, name))));
    }
    all.push(("claims that are no object".to_owned(), signed(tokens, head, &json!([1]))));
    all
}

fn tokens() -> AccessTokens {
    AccessTokens::new(&Zeroizing::new([1; 32]), Duration::from_secs(600))
}

#[test]
fn a_token_says_who_its_bearer_is_until_it_runs_out() {
    let (tokens, user, session) = (tokens(), user(), SessionId::generate());
    let now = Timestamp::now();
    let token = tokens.issue(&user, session, now);
    let claims = tokens.check(&token.text, now).unwrap();
    assert_eq!((claims.sub, claims.sid, claims.role), (user.id, session, Role::User));
    assert!((599..=600).contains(&claims.remaining(now).as_secs()));
    assert!(tokens.check(&token.text, now.after(Duration::from_secs(601))).is_none());
    assert!(token.text.len() < MAX_TOKEN_BYTES / 2, "{}", token.text.len());
    let early = tokens.issue(&user, session, now.before(Duration::from_secs(601)));
    assert!(tokens.check(&early.text, now).is_none());
    assert_eq!(format!("{tokens:?} {token:?}"), "AccessTokens AccessToken");
}

#[test]
fn what_is_signed_here_and_says_the_same_counts() {
    // The forged ones differ from this one by one thing each.
    let (tokens, user, session) = (tokens(), user(), SessionId::generate());
    let (now, says) = (Timestamp::now(), says(&user, session));
    assert!(tokens.check(&signed(&tokens, &json!({"typ": TYPE, "alg": "EdDSA"}), &says), now).is_some());
}

#[test]
fn forged_tokens_do_not_count() {
    let (tokens, user, session) = (tokens(), user(), SessionId::generate());
    let all = forged(&tokens, &user, session);
    assert!(all.len() >= 40, "{}", all.len());
    for (what, token) in all {
        assert_eq!(tokens.check(&token, Timestamp::now()), None, "{what}");
    }
}
