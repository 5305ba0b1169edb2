//! Tokens of another issuer: which count, as whom, and which settings stop the start.

use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::{Jwk, JwkSet, KeyAlgorithm, PublicKeyUse};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value as Json, json};

use super::support::node::run_scenario;
use super::support::place::Place;
use super::support::server::{Answer, Server, TOKENS_BEGIN};

const ISSUER: &str = "https://login.example.com/";
const AUDIENCE: &str = "gatewright-tests";
const SECRET: &str = "a secret of the tests that is long enough";
const ID: &str = "auth0|42";

/// How an issuer signs, and what its settings are.
struct Signer {
    algorithm: Algorithm,
    key: EncodingKey,
    kid: Option<&'static str>,
    settings: Vec<(&'static str, String)>,
}

impl Signer {
    fn new(algorithm: Algorithm, key: EncodingKey, source: (&'static str, String)) -> Self {
        let settings = vec![
            ("AUTH__ISSUER__ISSUER", ISSUER.to_owned()),
            ("AUTH__ISSUER__AUDIENCE", AUDIENCE.to_owned()),
            ("AUTH__ISSUER__ALGORITHM", format!("{algorithm:?}")),
            source,
        ];
        Self { algorithm, key, kid: None, settings }
    }

    fn of_secret() -> Self {
        let key = EncodingKey::from_secret(SECRET.as_bytes());
        Self::new(Algorithm::HS256, key, ("AUTH__ISSUER__SECRET", SECRET.to_owned()))
    }

    fn of_pem(algorithm: Algorithm, name: &str) -> Self {
        let public = key_file(&format!("{name}.pub.pem")).display().to_string();
        Self::new(algorithm, private_key(algorithm, name), ("AUTH__ISSUER__PUBLIC_KEY_FILE", public))
    }

    fn of_jwks(algorithm: Algorithm, name: &str, kid: Option<&'static str>, set: &Path) -> Self {
        let set = set.display().to_string();
        let mut signer = Self::new(algorithm, private_key(algorithm, name), ("AUTH__ISSUER__JWKS_FILE", set));
        signer.kid = kid;
        signer
    }

    fn with(mut self, setting: &'static str, value: &str) -> Self {
        self.settings.push((setting, value.to_owned()));
        self
    }

    fn start(&self) -> Server {
        let settings: Vec<_> = self.settings.iter().map(|(key, value)| (*key, value.as_str())).collect();
        Server::start_with(&settings, &[])
    }

    fn header(&self) -> Header {
        Header { kid: self.kid.map(str::to_owned), ..Header::new(self.algorithm) }
    }

    /// A token with the usual claims and these over them; null takes one out.
    fn token(&self, claims: &Json) -> String {
        jsonwebtoken::encode(&self.header(), &claims_with(claims), &self.key).unwrap()
    }

    /// The same, by another key.
    fn token_by(&self, key: &EncodingKey) -> String {
        jsonwebtoken::encode(&self.header(), &claims_with(&json!({})), key).unwrap()
    }
}

#[test]
fn issuers_of_every_algorithm() {
    let place = tempfile::tempdir().unwrap();
    let set = write_set(&place.path().join("keys.json"));
    for signer in [
        Signer::of_secret(),
        Signer::of_pem(Algorithm::RS256, "rsa"),
        Signer::of_pem(Algorithm::ES256, "ec"),
        Signer::of_pem(Algorithm::EdDSA, "ed"),
        Signer::of_jwks(Algorithm::RS256, "rsa", Some("rsa"), &set),
        Signer::of_jwks(Algorithm::ES256, "ec", Some("ec"), &set),
        Signer::of_jwks(Algorithm::EdDSA, "ed", Some("ed"), &set),
    ] {
        let server = signer.start();
        let about = format!("{:?} {:?}", signer.algorithm, signer.kid);
        let token = signer.token(&json!({}));
        let me = me(&server, &token);
        assert_eq!(me.status, 200, "{about}: {}", me.body);
        let user = json!({ "id": ID, "email": "ada@login.example.com", "name": "Ada", "role": "user" });
        assert_eq!(me.json(), user, "{about}");
        let cookie = format!("accessToken={token}");
        assert_eq!(server.call("GET", "/me", None, &[("cookie", &cookie)]).status, 200, "{about}");
        let email = |verified: Json| {
            self::me(&server, &signer.token(&json!({ "email_verified": verified }))).json()["email"].clone()
        };
        assert_eq!((email(json!(true)), email(json!(false))), (user["email"].clone(), json!("")), "{about}");
        let in_list = json!({ "aud": ["another", AUDIENCE], "exp": now() as f64 + 600.5 });
        assert_eq!(self::me(&server, &signer.token(&in_list)).status, 200, "{about}");
        for (what, bad) in claims_that_do_not_count() {
            check_refused(&self::me(&server, &signer.token(&bad)), &format!("{about}: {what}"));
        }
        for (what, bad) in forgeries(&signer) {
            check_refused(&self::me(&server, &bad), &format!("{about}: {what}"));
        }
        // What the server signs itself goes on to count.
        assert_eq!(self::me(&server, &server.admin_token()).status, 200, "{about}");
    }
}

#[test]
fn issuers_keys_are_chosen_by_kid() {
    let place = tempfile::tempdir().unwrap();
    let set = write_set(&place.path().join("keys.json"));
    let signer = Signer::of_jwks(Algorithm::RS256, "rsa", None, &set);
    let server = signer.start();
    let token = |name: &str, kid: Option<&str>| {
        let header = Header { kid: kid.map(str::to_owned), ..Header::new(Algorithm::RS256) };
        let key = private_key(Algorithm::RS256, name);
        jsonwebtoken::encode(&header, &claims_with(&json!({})), &key).unwrap()
    };
    let check = |name: &str, kid: Option<&str>, counts: bool| {
        let answer = me(&server, &token(name, kid));
        let status = if counts { 200 } else { 401 };
        assert_eq!(answer.status, status, "{name} {kid:?}: {}", answer.body);
    };
    check("rsa", Some("rsa"), true);
    check("other_rsa", Some("rsa-2"), true);
    check("other_rsa", Some("rsa"), false);
    check("rsa", Some("rsa-2"), false);
    check("rsa", Some("RSA"), false);
    check("rsa", Some("unknown"), false);
    check("rsa", Some(""), false);
    check("rsa", None, false);
    // In the set, but for other algorithms and uses.
    for kid in ["ec", "ed", "encryption", "rs512"] {
        check("rsa", Some(kid), false);
    }

    // With one key that fits, there is nothing to choose.
    let alone = Signer::of_jwks(Algorithm::ES256, "ec", None, &set);
    let server = alone.start();
    assert_eq!(me(&server, &alone.token(&json!({}))).status, 200);
    let named = Signer { kid: Some("unknown"), ..alone };
    check_refused(&me(&server, &named.token(&json!({}))), "unknown kid");
}

#[test]
fn issuers_name_the_user_by_the_claims_that_are_set() {
    let signer = Signer::of_secret()
        .with("AUTH__ISSUER__USER_ID_CLAIM", "uid")
        .with("AUTH__ISSUER__EMAIL_CLAIM", "")
        .with("AUTH__ISSUER__NAME_CLAIM", "https://example.com/name")
        .with("AUTH__ISSUER__ROLE_CLAIM", "roles");
    let server = signer.start();
    let check = |claims: Json, user: Json| {
        assert_eq!(me(&server, &signer.token(&claims)).json(), user, "{claims}");
    };
    let user =
        |id: &str, name: &str, role: &str| json!({ "id": id, "email": "", "name": name, "role": role });
    check(json!({ "uid": "42" }), user("42", "", "user"));
    check(json!({ "uid": 42 }), user("42", "", "user"));
    check(json!({ "uid": "ä b\"c", "https://example.com/name": "Eve" }), user("ä b\"c", "Eve", "user"));
    check(json!({ "uid": "x".repeat(256) }), user(&"x".repeat(256), "", "user"));
    check(json!({ "uid": "42", "roles": "editor" }), user("42", "", "editor"));
    check(json!({ "uid": "42", "roles": ["editor", "writer"] }), user("42", "", "editor"));
    for nobody in
        [json!([]), json!(""), json!(7), json!(null), json!({ "admin": true }), json!("x".repeat(201))]
    {
        check(json!({ "uid": "42", "roles": nobody }), user("42", "", "user"));
    }
    check(json!({ "uid": "42", "https://example.com/name": "x".repeat(201) }), user("42", "", "user"));
    // An issuer does not make admins.
    check(json!({ "uid": "42", "roles": "admin" }), user("42", "", "user"));
    check(json!({ "uid": "42", "roles": ["admin", "editor"] }), user("42", "", "editor"));
    let token = signer.token(&json!({ "uid": "42", "roles": "admin" }));
    assert_eq!(server.admin(&token, "GET", "/admin/users", None).status, 403);
}

#[test]
fn issuers_may_be_allowed_to_make_admins() {
    let signer = Signer::of_secret()
        .with("AUTH__ISSUER__ROLE_CLAIM", "role")
        .with("AUTH__ISSUER__EMAIL_CLAIM", "")
        .with("AUTH__ISSUER__ALLOW_ADMIN", "true");
    let server = signer.start();
    let token = signer.token(&json!({ "role": "admin" }));
    let gateway = json!({ "path": "/theirs", "connectionScript": "1" });
    let made = server.admin(&token, "POST", "/admin/gateways", Some(&gateway));
    assert_eq!(made.status, 201, "{}", made.body);
    let path = format!("/admin/gateways/{}/revisions", made.json()["id"].as_str().unwrap());
    let revisions = server.admin(&token, "GET", &path, None).json();
    assert_eq!(revisions["data"][0]["author"], ID, "without an address, the id: {revisions}");
    let token = signer.token(&json!({ "role": "Admin" }));
    assert_eq!(server.admin(&token, "GET", "/admin/users", None).status, 403);
}

#[test]
fn issuers_users_have_no_account_here() {
    let signer = Signer::of_secret();
    let server = signer.start();
    let token = signer.token(&json!({}));
    let bearer = format!("Bearer {token}");
    let call = |method, path, body: Option<Json>| {
        server.call(method, path, body.as_ref(), &[("authorization", &bearer)])
    };
    for (method, path, body) in
        [("PATCH", "/me", Some(json!({ "name": "Eve" }))), ("POST", "/auth/websocket-token", None)]
    {
        let answer = call(method, path, body);
        assert_eq!((answer.status, &*answer.code()), (403, "AUTHORIZATION_ERROR"), "{}", answer.body);
    }
    let answer = server.call("POST", "/auth/refresh-token", Some(&json!({ "refreshToken": token })), &[]);
    check_refused(&answer, "as a refresh token");
    let logout = call("POST", "/auth/logout", None);
    assert_eq!(logout.status, 204, "{}", logout.body);
    assert_eq!(call("GET", "/me", None).status, 200, "only the issuer can end it");
    assert_eq!(call("GET", "/admin/users", None).status, 403);
}

#[test]
fn issuers_do_not_speak_for_users_of_this_server() {
    let signer = Signer::of_secret();
    let server = signer.start();
    let admin = server.admin_token();
    let body = json!({ "email": "ben@example.com", "password": "some password" });
    let ben = server.admin(&admin, "POST", "/admin/users", Some(&body)).json();
    let id = ben["id"].as_str().unwrap();
    let simple = id.replace('-', "");
    let spelled = [id, &id.to_uppercase(), &simple, &format!("{{{id}}}"), &format!("urn:uuid:{id}")];
    for id in spelled {
        check_refused(&me(&server, &signer.token(&json!({ "sub": id }))), id);
    }
    // Nor does the address make anybody: it is what the issuer says, no more.
    let other = me(&server, &signer.token(&json!({ "email": "ben@example.com" })));
    assert_eq!((other.status, &other.json()["id"]), (200, &json!(ID)));
    let nobody = "0190a1b2-c3d4-7e5f-8a6b-7c8d9e0f1a2b";
    assert_eq!(me(&server, &signer.token(&json!({ "sub": nobody }))).json()["id"], nobody);
    server.admin(&admin, "DELETE", &format!("/admin/users/{id}"), None);
    assert_eq!(me(&server, &signer.token(&json!({ "sub": id }))).status, 200, "nobody has it any more");
}

#[test]
fn issuers_settings_that_stop_the_start() {
    let place = Place::new();
    let set = |text: &str| place.write("set.json", text);
    set(&json!({ "keys": [jwk(Algorithm::ES256, "ec", Some("ec"))] }).to_string());
    place.write("rsa.txt", "no key at all");
    place.write("list.json", "[1, 2]");
    place.write("empty.json", "{\"keys\": []}");
    let file = |name: &str| key_file(name).display().to_string();
    let refuses = |settings: &[(&str, &str)], mentions: &[&str]| {
        let mut all = vec![("ISSUER", ISSUER), ("AUDIENCE", AUDIENCE)];
        all.retain(|(key, _)| !settings.iter().any(|(other, _)| other == key));
        all.extend(settings);
        let names: Vec<_> = all.iter().map(|(key, value)| (format!("AUTH__ISSUER__{key}"), *value)).collect();
        let env: Vec<_> = names.iter().map(|(key, value)| (key.as_str(), *value)).collect();
        let done = place.fails_to_serve(&["--data", "d", "--listen", "127.0.0.1:0"], &env);
        done.check(1, mentions);
        assert!(!done.all().contains("hidden-word") && !done.all().contains("panic"), "{}", done.all());
    };
    let secret = "hidden-word, and a good many bytes more of it";
    refuses(&[("ALGORITHM", "none")], &["auth.issuer.algorithm", "none", "HS256, RS256, ES256, EdDSA"]);
    refuses(&[("ALGORITHM", "RS512")], &["auth.issuer.algorithm", "RS512"]);
    refuses(&[], &["auth.issuer.public_key_file", "empty", "RS256"]);
    refuses(&[("ALGORITHM", "HS256")], &["auth.issuer.secret", "empty"]);
    refuses(&[("ALGORITHM", "HS256"), ("SECRET", "hidden-word")], &["auth.issuer.secret", "11 bytes", "32"]);
    refuses(&[("SECRET", secret)], &["auth.issuer.secret", "RS256", "auth.issuer.jwks_file"]);
    refuses(
        &[("ALGORITHM", "HS256"), ("PUBLIC_KEY_FILE", &file("rsa.pub.pem"))],
        &["auth.issuer.public_key_file", "auth.issuer.secret"],
    );
    refuses(
        &[("PUBLIC_KEY_FILE", &file("rsa.pub.pem")), ("JWKS_FILE", "set.json")],
        &["auth.issuer.public_key_file", "auth.issuer.jwks_file", "alone"],
    );
    refuses(&[("AUDIENCE", "")], &["auth.issuer.audience", "empty"]);
    refuses(&[("ISSUER", "")], &["auth.issuer.issuer", "empty", "auth.issuer.audience"]);
    refuses(&[("ISSUER", ""), ("SECRET", secret)], &["auth.issuer.issuer", "auth.issuer.secret"]);
    refuses(
        &[("USER_ID_CLAIM", ""), ("PUBLIC_KEY_FILE", &file("rsa.pub.pem"))],
        &["auth.issuer.user_id_claim"],
    );
    refuses(&[("AUDIENCES", "x")], &["AUDIENCES", "auth.issuer.audience"]);

    let public = "auth.issuer.public_key_file";
    for (algorithm, name) in [
        ("RS256", "ec.pub.pem"),
        ("RS256", "ed.pub.pem"),
        ("RS256", "rsa.pem"),
        ("RS256", "short_rsa.pub.pem"),
        ("RS256", "README.md"),
        ("ES256", "rsa.pub.pem"),
        ("ES256", "p384.pub.pem"),
        ("ES256", "ec.pem"),
        ("EdDSA", "ec.pub.pem"),
        ("EdDSA", "ed.pem"),
    ] {
        let settings = [("ALGORITHM", algorithm), ("PUBLIC_KEY_FILE", &*file(name))];
        refuses(&settings, &[public, name, algorithm]);
    }
    for name in ["absent.pem", "rsa.txt", "."] {
        refuses(&[("PUBLIC_KEY_FILE", name)], &[public, name]);
    }
    for name in ["absent.json", "rsa.txt", "list.json", "empty.json", "set.json"] {
        refuses(&[("JWKS_FILE", name)], &["auth.issuer.jwks_file", name]);
    }
    // An Ed25519 key that is too short, which the library would fall over.
    set(r#"{"keys": [{"kty": "OKP", "crv": "Ed25519", "x": "AAAA"}]}"#);
    refuses(&[("ALGORITHM", "EdDSA"), ("JWKS_FILE", "set.json")], &["auth.issuer.jwks_file", "EdDSA"]);

    let shown = place.run_with(
        &["config"],
        &[
            ("AUTH__ISSUER__ISSUER", ISSUER),
            ("AUTH__ISSUER__AUDIENCE", AUDIENCE),
            ("AUTH__ISSUER__ALGORITHM", "HS256"),
            ("AUTH__ISSUER__SECRET", secret),
        ],
    );
    shown.check(0, &["auth.issuer.secret", "(secret)", "GATEWRIGHT_AUTH__ISSUER__SECRET"]);
    assert!(!shown.all().contains("hidden-word"), "{}", shown.all());
}

#[test]
fn issuers_tokens_open_sockets() {
    let signer = Signer::of_secret().with("LOGS__LEVEL", "trace");
    let server = signer.start();
    let about = json!({ "issuer": ISSUER, "audience": AUDIENCE, "secret": SECRET }).to_string();
    let body = json!({ "path": "/about-this-test", "description": about });
    let made = server.admin(&server.admin_token(), "POST", "/admin/gateways", Some(&body));
    assert_eq!(made.status, 201, "{}", made.body);
    run_scenario(&server, "issuer");
    let (status, _data, log) = server.stop();
    assert!(status.success(), "{log}");
    for never in ["panicked", SECRET].into_iter().chain(TOKENS_BEGIN) {
        let line = log.lines().find(|line| line.contains(never));
        assert!(line.is_none(), "the log has {never}: {line:?}");
    }
}

/// Claims over the usual ones that make a token refused.
fn claims_that_do_not_count() -> Vec<(&'static str, Json)> {
    vec![
        ("no exp", json!({ "exp": null })),
        ("exp in the past", json!({ "exp": now() - 1 })),
        ("exp now", json!({ "exp": now() })),
        ("exp as text", json!({ "exp": (now() + 600).to_string() })),
        ("exp beyond all times", json!({ "exp": 1e18 })),
        ("exp of a list", json!({ "exp": [now() + 600] })),
        ("nbf in the future", json!({ "nbf": now() + 600 })),
        ("nbf as text", json!({ "nbf": "0" })),
        ("no iss", json!({ "iss": null })),
        ("another iss", json!({ "iss": "https://evil.example/" })),
        ("iss without its slash", json!({ "iss": "https://login.example.com" })),
        ("iss in a list", json!({ "iss": [ISSUER] })),
        ("no aud", json!({ "aud": null })),
        ("another aud", json!({ "aud": "another" })),
        ("other auds", json!({ "aud": ["another", "third"] })),
        ("no auds", json!({ "aud": [] })),
        ("aud of an object", json!({ "aud": { AUDIENCE: true } })),
        ("no sub", json!({ "sub": null })),
        ("empty sub", json!({ "sub": "" })),
        ("long sub", json!({ "sub": "x".repeat(257) })),
        ("sub of a list", json!({ "sub": [ID] })),
        ("sub true", json!({ "sub": true })),
        ("sub with a fraction", json!({ "sub": 1.5 })),
        ("larger than any token", json!({ "padding": "x".repeat(20_000) })),
    ]
}

/// Tokens that the issuer did not make as they are.
fn forgeries(signer: &Signer) -> Vec<(&'static str, String)> {
    let good = signer.token(&json!({}));
    let (message, signature) = good.rsplit_once('.').unwrap();
    let claims = message.rsplit_once('.').unwrap().1;
    let encoded = |json: Json| URL_SAFE_NO_PAD.encode(json.to_string());
    let with_header = |header: Json, signature: &str| format!("{}.{claims}.{signature}", encoded(header));
    let name = format!("{:?}", signer.algorithm);
    let mut all = vec![
        ("alg none", with_header(json!({ "alg": "none" }), "")),
        ("alg None", with_header(json!({ "alg": "None", "kid": signer.kid }), signature)),
        ("alg empty", with_header(json!({ "alg": "" }), "")),
        ("no alg", with_header(json!({ "typ": "JWT" }), signature)),
        ("no signature", format!("{message}.")),
        ("two parts", message.to_owned()),
        ("cut signature", format!("{message}.{}", &signature[..signature.len() - 4])),
        ("another header", with_header(json!({ "alg": name, "kid": signer.kid, "x": 1 }), signature)),
        ("nonsense", "nonsense".to_owned()),
        ("dots", "..".to_owned()),
    ];
    let mut payload = claims_with(&json!({ "sub": "somebody else" }));
    payload["role"] = json!("admin");
    let header = message.split_once('.').unwrap().0;
    all.push(("another payload", format!("{header}.{}.{signature}", encoded(payload))));
    let critical = json!({ "alg": name, "kid": signer.kid, "crit": ["b64"], "b64": false });
    let critical = format!("{}.{claims}", encoded(critical));
    let signed = jsonwebtoken::crypto::sign(critical.as_bytes(), &signer.key, signer.algorithm).unwrap();
    all.push(("crit", format!("{critical}.{signed}")));
    all.extend(signed_by_others(signer));
    all
}

/// Whole tokens by keys that are not the issuer's, or not for that.
fn signed_by_others(signer: &Signer) -> Vec<(&'static str, String)> {
    let mut all = Vec::new();
    let name = match signer.algorithm {
        Algorithm::RS256 => "rsa",
        Algorithm::ES256 => "ec",
        Algorithm::EdDSA => "ed",
        _ => "",
    };
    if name.is_empty() {
        all.push(("another secret", signer.token_by(&EncodingKey::from_secret(b"another secret"))));
        all.push(("an empty secret", signer.token_by(&EncodingKey::from_secret(b""))));
    } else {
        let other = private_key(signer.algorithm, &format!("other_{name}"));
        all.push(("another key", signer.token_by(&other)));
        // The public key is public: as an HMAC secret it proves nothing.
        let public = std::fs::read(key_file(&format!("{name}.pub.pem"))).unwrap();
        for (what, secret) in [("confused", public.as_slice()), ("confused, trimmed", public.trim_ascii())] {
            let key = EncodingKey::from_secret(secret);
            let confused = Signer { algorithm: Algorithm::HS256, key, kid: signer.kid, settings: Vec::new() };
            all.push((what, confused.token(&json!({}))));
        }
    }
    for (algorithm, name) in [
        (Algorithm::RS256, "rsa"),
        (Algorithm::RS512, "rsa"),
        (Algorithm::ES256, "ec"),
        (Algorithm::EdDSA, "ed"),
    ] {
        if algorithm != signer.algorithm {
            let key = private_key(algorithm, name);
            let other = Signer { algorithm, key, kid: signer.kid, settings: Vec::new() };
            all.push(("another algorithm", other.token(&json!({}))));
        }
    }
    all
}

fn claims_with(over: &Json) -> Json {
    let mut claims = json!({
        "iss": ISSUER, "aud": AUDIENCE, "sub": ID, "exp": now() + 600, "iat": now(),
        "email": "ada@login.example.com", "name": "Ada",
    });
    let fields = claims.as_object_mut().unwrap();
    fields.extend(over.as_object().unwrap().clone());
    fields.retain(|_, value| !value.is_null());
    claims
}

fn now() -> u64 {
    jsonwebtoken::get_current_timestamp()
}

fn key_file(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/it/keys").join(name)
}

fn private_key(algorithm: Algorithm, name: &str) -> EncodingKey {
    let pem = std::fs::read(key_file(&format!("{name}.pem"))).unwrap();
    match algorithm {
        Algorithm::ES256 => EncodingKey::from_ec_pem(&pem),
        Algorithm::EdDSA => EncodingKey::from_ed_pem(&pem),
        _ => EncodingKey::from_rsa_pem(&pem),
    }
    .unwrap()
}

fn jwk(algorithm: Algorithm, name: &str, kid: Option<&str>) -> Jwk {
    let mut jwk = Jwk::from_encoding_key(&private_key(algorithm, name), algorithm).unwrap();
    jwk.common.key_id = kid.map(str::to_owned);
    jwk
}

/// A set as an issuer has it: keys of several kinds, some of them for other uses.
fn write_set(path: &Path) -> PathBuf {
    let mut encryption = jwk(Algorithm::RS256, "rsa", Some("encryption"));
    encryption.common.public_key_use = Some(PublicKeyUse::Encryption);
    let mut rs512 = jwk(Algorithm::RS256, "rsa", Some("rs512"));
    rs512.common.key_algorithm = Some(KeyAlgorithm::RS512);
    let mut unnamed = jwk(Algorithm::RS256, "other_rsa", Some("rsa-2"));
    unnamed.common.key_algorithm = None;
    let keys = vec![
        encryption,
        rs512,
        jwk(Algorithm::RS256, "rsa", Some("rsa")),
        unnamed,
        jwk(Algorithm::ES256, "ec", Some("ec")),
        jwk(Algorithm::EdDSA, "ed", Some("ed")),
    ];
    let mut set = serde_json::to_value(JwkSet { keys }).unwrap();
    // Kinds that nobody here knows are no reason to refuse the whole set.
    let unknown = json!({ "kty": "EC", "crv": "secp256k1", "x": "AA", "y": "AA", "kid": "k1" });
    set["keys"].as_array_mut().unwrap().push(unknown);
    std::fs::write(path, set.to_string()).unwrap();
    path.to_owned()
}

fn me(server: &Server, token: &str) -> Answer {
    server.call("GET", "/me", None, &[("authorization", &format!("Bearer {token}"))])
}

fn check_refused(answer: &Answer, what: &str) {
    assert_eq!((answer.status, &*answer.code()), (401, "AUTH_INVALID"), "{what}: {}", answer.body);
}
