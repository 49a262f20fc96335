//! Making accounts, changing them, ending them: by their owners and by administrators.

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};

use super::{Answer, Guest, Site};
use crate::{
    accounts::{AccountOptions, SignUp},
    store::users::Role,
};

async fn open_site(sign_up: SignUp) -> (Site, Guest) {
    let site = Site::with(None, AccountOptions { sign_up, ..AccountOptions::default() }).await;
    let admin = site.person("admin", Role::Admin).await;
    // An administrator was made without the code.
    site.app.setup.close();
    (site, admin)
}

async fn send(site: &Site, method: Method, path: &str, guest: &Guest, body: Value) -> Answer {
    site.send(method, path, guest, Some(body)).await
}

async fn invitation(site: &Site, admin: &Guest, body: Value) -> String {
    let made = site.post("/api/invitations", admin, body).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
    made.body["text"].as_str().unwrap().to_owned()
}

fn account(name: &str, invitation: Option<&str>) -> Value {
    json!({"username": name, "password": "a good password", "invitation": invitation})
}

async fn id_of(site: &Site, admin: &Guest, name: &str) -> String {
    let list = site.get("/api/users", admin).await.body;
    let found = list["users"].as_array().unwrap().iter().find(|one| one["username"] == name).unwrap();
    found["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn who_may_make_an_account_is_the_operators_choice() {
    let nobody = Guest::default();
    let (site, _) = open_site(SignUp::Closed).await;
    site.post("/api/account", &nobody, account("anna", None)).await.is(403, "sign_up_closed");
    let (site, admin) = open_site(SignUp::Open).await;
    let made = site.post("/api/account", &nobody, account("Anna", None)).await;
    assert_eq!((made.status, &made.body["user"]["role"]), (StatusCode::CREATED, &json!("user")));
    assert_eq!(site.get("/api/me", &made.guest()).await.body["user"]["username"], "anna");
    let taken = site.post("/api/account", &nobody, account("anna", None)).await;
    assert_eq!(
        (taken.status.as_u16(), taken.code(), &taken.body["error"]["field"]),
        (409, "name_taken", &json!("username"))
    );
    let text = invitation(&site, &admin, json!({"role": "worker"})).await;
    let worker = site.post("/api/account", &nobody, account("ben", Some(&text))).await;
    assert_eq!(worker.body["user"]["role"], "worker", "where all may, an invitation still gives its role");
    assert_eq!(site.get("/api/setup", &nobody).await.body, json!({"needed": false, "sign_up": "open"}));
}

#[tokio::test]
async fn nobody_makes_an_account_before_the_first_administrator() {
    let site = Site::with(None, AccountOptions { sign_up: SignUp::Open, ..AccountOptions::default() }).await;
    site.post("/api/account", &Guest::default(), account("anna", None)).await.is(403, "sign_up_closed");
}

#[tokio::test]
async fn an_invitation_counts_as_often_as_it_says() {
    let (site, admin) = open_site(SignUp::Invitation).await;
    let nobody = Guest::default();
    site.post("/api/account", &nobody, account("anna", None)).await.is(403, "not_invited");
    site.post("/api/account", &nobody, account("anna", Some("wrong"))).await.is(403, "not_invited");
    let text = invitation(&site, &admin, json!({"label": "friends", "max_uses": 2})).await;
    assert_eq!(site.post("/api/account", &nobody, account("anna", Some(&text))).await.status, 201);
    site.post("/api/account", &nobody, account("anna", Some(&text))).await.is(409, "name_taken");
    let (ben, carl) = tokio::join!(
        site.post("/api/account", &nobody, account("ben", Some(&text))),
        site.post("/api/account", &nobody, account("carl", Some(&text))),
    );
    let mut both = [ben.status.as_u16(), carl.status.as_u16()];
    both.sort_unstable();
    assert_eq!(both, [201, 403], "a refused name has taken none, and the last use is one's");
    let list = site.get("/api/invitations", &admin).await;
    assert!(!list.text.contains(&text), "it is shown once");
    assert_eq!(
        (&list.body["invitations"][0]["uses"], &list.body["invitations"][0]["label"]),
        (&json!(2), &json!("friends"))
    );
    let text = invitation(&site, &admin, json!({})).await;
    let id = site.get("/api/invitations", &admin).await.body["invitations"][0]["id"].as_str().unwrap().to_owned();
    let path = format!("/api/invitations/{id}");
    assert_eq!(send(&site, Method::DELETE, &path, &admin, json!({})).await.status, 204);
    site.post("/api/account", &nobody, account("dora", Some(&text))).await.is(403, "not_invited");
    for bad in
        [json!({"max_uses": 0}), json!({"max_uses": 1001}), json!({"expires_in_seconds": 0}), json!({"role": "root"})]
    {
        site.post("/api/invitations", &admin, bad).await.is(400, "invalid_field");
    }
}

#[tokio::test]
async fn what_is_not_asked_for_is_not_taken() {
    let (site, admin) = open_site(SignUp::Open).await;
    let more = json!({
        "username": "anna", "password": "a good password", "role": "admin", "worker": 1, "disabled": false,
        "id": "00000000-0000-7000-8000-000000000000", "user_id": id_of(&site, &admin, "admin").await,
    });
    let anna = site.post("/api/account", &Guest::default(), more).await;
    assert_eq!(anna.body["user"]["role"], "user");
    assert_ne!(anna.body["user"]["id"], "00000000-0000-7000-8000-000000000000");
    let (anna, other) = (anna.guest(), id_of(&site, &admin, "admin").await);
    let body = json!({"label": "k", "user_id": other, "user": other});
    assert_eq!(site.post("/api/keys", &anna, body).await.status, 201);
    assert!(site.get("/api/keys", &admin).await.body["keys"].as_array().unwrap().is_empty());
    let body = json!({"title": "t", "user_id": other});
    assert_eq!(site.post("/api/conversations", &anna, body).await.status, 201);
    assert!(site.get("/api/conversations", &admin).await.body["conversations"].as_array().unwrap().is_empty());
    let body = json!({"username": "anna", "password": "a good password", "role": "admin"});
    assert_eq!(site.post("/api/session", &Guest::default(), body).await.body["user"]["role"], "user");
    let path = format!("/api/users/{}", id_of(&site, &admin, "anna").await);
    let body = json!({"username": "root", "password": "another password", "id": other});
    assert_eq!(send(&site, Method::PATCH, &path, &admin, body).await.body["user"]["username"], "anna");
    assert!(site.sign_in("anna").await.cookie.is_some());
}

#[tokio::test]
async fn another_password_ends_all_other_sessions() {
    let (site, _) = open_site(SignUp::Closed).await;
    let anna = site.user("anna").await;
    let elsewhere = site.sign_in("anna").await;
    let change = |old: &str, new: &str| json!({"old": old, "new": new});
    let put = |body| send(&site, Method::PUT, "/api/account/password", &anna, body);
    let wrong = put(change("wrong password", "a better password")).await;
    wrong.is(403, "wrong_password");
    assert_eq!(wrong.body["error"]["field"], "old");
    assert_eq!(put(change("a good password", "short")).await.body["error"]["field"], "new");
    assert_eq!(site.get("/api/me", &elsewhere).await.status, 200);
    assert_eq!(put(change("a good password", "a better password")).await.status, 204);
    site.get("/api/me", &elsewhere).await.is(401, "not_signed_in");
    assert_eq!(site.get("/api/me", &anna).await.status, 200);
    let old = json!({"username": "anna", "password": "a good password"});
    site.post("/api/session", &Guest::default(), old).await.is(401, "wrong_credentials");
    let new = json!({"username": "anna", "password": "a better password"});
    assert_eq!(site.post("/api/session", &Guest::default(), new).await.status, 200);
    for _ in 0..10 {
        put(change("wrong password", "a better password")).await;
    }
    put(change("a better password", "a good password")).await.is(429, "too_many_tries");
}

#[tokio::test]
async fn an_account_ends_with_all_that_is_its_own() {
    let (site, admin) = open_site(SignUp::Closed).await;
    let anna = site.user("anna").await;
    let key = site.post("/api/keys", &anna, json!({"label": "k"})).await.body["secret"].as_str().unwrap().to_owned();
    super::conversation_of(&site, &anna).await;
    let delete = |guest: Guest, password: &'static str| {
        let site = &site;
        async move { send(site, Method::DELETE, "/api/account", &guest, json!({"password": password})).await }
    };
    delete(anna.clone(), "wrong password").await.is(403, "wrong_password");
    assert_eq!(delete(anna.clone(), "a good password").await.status, 204);
    site.get("/api/me", &anna).await.is(401, "not_signed_in");
    site.get("/v1/models", &Guest::bearer(&key)).await.is(401, "invalid_api_key");
    site.post("/api/session", &Guest::default(), json!({"username": "anna", "password": "a good password"}))
        .await
        .is(401, "wrong_credentials");
    delete(admin.clone(), "a good password").await.is(409, "last_administrator");
    site.person("second", Role::Admin).await;
    assert_eq!(delete(admin, "a good password").await.status, 204);
}

#[tokio::test]
async fn administrators_change_accounts_and_one_of_them_stays() {
    let (site, admin) = open_site(SignUp::Closed).await;
    let anna = site.user("anna").await;
    let (me, her) = (id_of(&site, &admin, "admin").await, id_of(&site, &admin, "anna").await);
    let patch = |id: &str, body| {
        let (site, admin, path) = (&site, &admin, format!("/api/users/{id}"));
        async move { send(site, Method::PATCH, &path, admin, body).await }
    };
    patch(&me, json!({"role": "user"})).await.is(409, "last_administrator");
    patch(&me, json!({"disabled": true})).await.is(409, "last_administrator");
    send(&site, Method::DELETE, &format!("/api/users/{me}"), &admin, json!({})).await.is(409, "last_administrator");
    // At once here, with the token that says that she is a user.
    assert_eq!(patch(&her, json!({"role": "admin"})).await.body["user"]["role"], "admin");
    assert_eq!(site.get("/api/users", &anna).await.status, 200);
    assert_eq!(patch(&her, json!({"role": "worker"})).await.body["user"]["role"], "worker");
    site.get("/api/users", &anna).await.is(403, "admin_only");
    assert_eq!(patch(&her, json!({"disabled": true})).await.body["user"]["disabled"], true);
    site.get("/api/me", &anna).await.is(401, "not_signed_in");
    let again = json!({"username": "anna", "password": "a good password"});
    site.post("/api/session", &Guest::default(), again.clone()).await.is(401, "wrong_credentials");
    patch(&her, json!({"disabled": false})).await;
    site.get("/api/me", &anna).await.is(401, "not_signed_in");
    assert_eq!(site.post("/api/session", &Guest::default(), again).await.status, 200);
    patch("x", json!({})).await.is(404, "no_such_user");
    patch(&her, json!({"role": "root"})).await.is(400, "invalid_field");
    let gone = format!("/api/users/{her}");
    assert_eq!(send(&site, Method::DELETE, &gone, &admin, json!({})).await.status, 204);
    send(&site, Method::DELETE, &gone, &admin, json!({})).await.is(404, "no_such_user");
    let audit = site.get("/api/audit", &admin).await.text;
    for action in ["user_changed", "user_deleted"] {
        assert!(audit.contains(action), "{audit}");
    }
}

#[tokio::test]
async fn people_are_listed_page_by_page() {
    let (site, admin) = open_site(SignUp::Closed).await;
    for name in ["anna", "ben", "carl"] {
        site.app.store.create_user(name, "x", Role::User).await.unwrap();
    }
    let names = |answer: Answer| {
        let users = answer.body["users"].as_array().unwrap().clone();
        users.iter().map(|one| one["username"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names(site.get("/api/users?limit=2", &admin).await), ["admin", "anna"]);
    assert_eq!(names(site.get("/api/users?limit=2&behind=anna", &admin).await), ["ben", "carl"]);
    assert!(names(site.get("/api/users?behind=carl", &admin).await).is_empty());
    for bad in ["limit=0", "limit=201", "limit=x"] {
        site.get(&format!("/api/users?{bad}"), &admin).await.is(400, "invalid_field");
    }
}

#[tokio::test]
async fn a_worker_invites_nodes_and_sees_them_and_not_others() {
    let (site, admin) = open_site(SignUp::Closed).await;
    let (worker, user) = (site.person("worker", Role::Worker).await, site.user("user").await);
    site.post("/api/invites", &user, json!({})).await.is(403, "admin_only");
    site.post("/api/invites", &worker, json!({"role": "gateway"})).await.is(403, "admin_only");
    site.post("/api/invites", &worker, json!({"max_uses": 17})).await.is(400, "invalid_field");
    let mut made = Vec::new();
    for _ in 0..8 {
        let answer = site.post("/api/invites", &worker, json!({"max_uses": 16})).await;
        assert_eq!(answer.status, 201, "{}", answer.text);
        made.push(answer.body["invite"]["id"].as_str().unwrap().to_owned());
    }
    site.post("/api/invites", &worker, json!({})).await.is(409, "too_many_invites");
    let admins = site.post("/api/invites", &admin, json!({})).await.body["invite"]["id"].as_str().unwrap().to_owned();
    assert_eq!(site.get("/api/invites", &worker).await.body["invites"].as_array().unwrap().len(), 8);
    assert_eq!(site.get("/api/invites", &admin).await.body["invites"].as_array().unwrap().len(), 9);
    let delete = |id: &str| send_delete(&site, &worker, format!("/api/invites/{id}"));
    assert_eq!(delete(&admins).await, 404);
    assert_eq!(delete(&made[0]).await, 204);
    assert_eq!(site.get("/api/my/nodes", &worker).await.body, json!({"nodes": []}));
}

async fn send_delete(site: &Site, guest: &Guest, path: String) -> u16 {
    send(site, Method::DELETE, &path, guest, json!({})).await.status.as_u16()
}

#[tokio::test]
async fn what_happens_to_accounts_and_keys_is_noted() {
    let (site, admin) = open_site(SignUp::Open).await;
    let anna = site.post("/api/account", &Guest::default(), account("anna", None)).await.guest();
    let key = site.post("/api/keys", &anna, json!({"label": "k"})).await.body["key"]["id"].as_str().unwrap().to_owned();
    send(&site, Method::DELETE, &format!("/api/keys/{key}"), &anna, json!({})).await;
    let change = json!({"old": "a good password", "new": "a better password"});
    assert_eq!(send(&site, Method::PUT, "/api/account/password", &anna, change).await.status, 204);
    let path = format!("/api/users/{}", id_of(&site, &admin, "anna").await);
    send(&site, Method::PATCH, &path, &admin, json!({"role": "worker"})).await;
    assert_eq!(send(&site, Method::DELETE, "/api/sessions", &anna, json!({})).await.status, 204);
    let again = json!({"username": "anna", "password": "a better password"});
    let anna = site.post("/api/session", &Guest::default(), again).await.guest();
    send(&site, Method::DELETE, "/api/account", &anna, json!({"password": "a better password"})).await;
    let log = site.get("/api/audit", &admin).await.body;
    let line = |entry: &Value| {
        ["actor", "action", "target", "from"].map(|field| entry[field].as_str().unwrap().to_owned()).join(" ")
    };
    let lines: Vec<_> = log["entries"].as_array().unwrap().iter().rev().map(line).collect();
    let key_made = format!("anna key_made {key} 127.0.0.1");
    let key_revoked = format!("anna key_revoked {key} 127.0.0.1");
    let expected = [
        "anna signed_up anna 127.0.0.1",
        &key_made,
        &key_revoked,
        "anna password_changed anna 127.0.0.1",
        "admin role_changed anna 127.0.0.1",
        "anna sessions_revoked anna 127.0.0.1",
        "anna user_deleted anna 127.0.0.1",
    ];
    assert_eq!(lines, expected);
}
