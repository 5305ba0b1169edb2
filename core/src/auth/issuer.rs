//! Tokens of another issuer: whether they are genuine and meant for us, and who they belong to.
//!
//! The algorithm and the key's kind come from the configuration. A token's header only chooses
//! among the keys of a set, never how it is verified.

use std::path::Path;

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, JwkSet, KeyAlgorithm, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde_json::{Map, Value as Json};

use super::token::invalid_token;
use super::users::{ROLE_ADMIN, ROLE_USER, TEXT_CHARS_MAX, User};
use crate::config::{self, IssuerAlgorithm, IssuerKey};
use crate::error::{Error, Result};
use crate::store::Time;

/// The longest id of a user.
const USER_ID_BYTES_MAX: usize = 256;
/// The shortest modulus of an RSA key (RFC 7518, section 3.3).
const RSA_BYTES_MIN: usize = 256;
/// An Ed25519 key.
const ED25519_BYTES: usize = 32;

/// An issuer whose tokens count.
pub(super) struct Issuer {
    settings: config::Issuer,
    validation: Validation,
    keys: Keys,
}

enum Keys {
    /// The one key, whatever a token calls it.
    One(DecodingKey),
    /// Keys by their `kid`.
    Set(Vec<(Option<String>, DecodingKey)>),
}

impl Issuer {
    /// The configured issuer with its key; none where none is configured.
    ///
    /// # Errors
    /// When the key's file cannot be read, or has no key for the algorithm; names the setting.
    pub(super) fn open(settings: &config::Issuer) -> Result<Option<Self>> {
        let Some(key) = settings.key() else { return Ok(None) };
        let keys = match key {
            IssuerKey::Secret(secret) => Keys::One(DecodingKey::from_secret(secret.as_bytes())),
            IssuerKey::PublicKeyFile(path) => {
                let pem = read("auth.issuer.public_key_file", path)?;
                let key = pem_key(settings.algorithm, &pem).ok_or_else(|| {
                    let wanted = format!("a PEM file with a public key for {}", settings.algorithm.as_str());
                    unusable("auth.issuer.public_key_file", path, &wanted)
                })?;
                Keys::One(key)
            }
            IssuerKey::JwksFile(path) => {
                let set = serde_json::from_slice::<JwkSet>(&read("auth.issuer.jwks_file", path)?);
                let keys = set.map(|set| jwks_keys(settings.algorithm, &set)).unwrap_or_default();
                if keys.is_empty() {
                    let wanted =
                        format!("a JSON Web Key Set with a public key for {}", settings.algorithm.as_str());
                    return Err(unusable("auth.issuer.jwks_file", path, &wanted));
                }
                Keys::Set(keys)
            }
        };
        let mut validation = Validation::new(algorithm(settings.algorithm));
        validation.set_issuer(&[&settings.issuer]);
        validation.set_audience(&[&settings.audience]);
        validation.set_required_spec_claims(&["exp", "iss", "aud"]);
        validation.validate_nbf = true;
        validation.leeway = 0;
        Ok(Some(Self { settings: settings.clone(), validation, keys }))
    }

    /// Whose token this is, and when it expires.
    ///
    /// # Errors
    /// `AUTH_INVALID`; the log has the reason, for the operator who sets the issuer up.
    pub(super) fn verify(&self, token: &str) -> Result<(User, Time)> {
        self.claims(token).and_then(|claims| self.user(&claims)).map_err(|reason| {
            tracing::debug!(reason, "a token is neither ours nor the issuer's");
            invalid_token().into()
        })
    }

    fn claims(&self, token: &str) -> Result<Map<String, Json>, &'static str> {
        let header = jsonwebtoken::decode_header(token).map_err(|_| "it is no JWT of a known algorithm")?;
        if header.crit.is_some() {
            return Err("its header has `crit`, and none is understood");
        }
        let key = self.key(header.kid.as_deref()).ok_or("no key has its `kid`")?;
        let data =
            jsonwebtoken::decode(token, key, &self.validation).map_err(|error| reason(error.kind()))?;
        Ok(data.claims)
    }

    fn key(&self, kid: Option<&str>) -> Option<&DecodingKey> {
        match (&self.keys, kid) {
            (Keys::One(key), _) => Some(key),
            (Keys::Set(keys), None) => match keys.as_slice() {
                [(_, key)] => Some(key),
                _ => None,
            },
            (Keys::Set(keys), Some(kid)) => {
                keys.iter().find(|(known, _)| known.as_deref() == Some(kid)).map(|(_, key)| key)
            }
        }
    }

    fn user(&self, claims: &Map<String, Json>) -> Result<(User, Time), &'static str> {
        // The library takes one of a list too, and a token in the very second of its end.
        if claims.get("iss").and_then(Json::as_str) != Some(&self.settings.issuer) {
            return Err("its `iss` is another");
        }
        let expires_at =
            claims.get("exp").and_then(seconds).and_then(|exp| Time::from_unix_timestamp(exp).ok());
        let expires_at = expires_at.ok_or("its `exp` is no time")?;
        if expires_at <= Time::now_utc() {
            return Err("it has expired");
        }
        let id = user_id(claims.get(&self.settings.user_id_claim)).ok_or("it has no usable id of a user")?;
        let text = |claim: &Option<String>| {
            let text = claim.as_ref().and_then(|claim| claims.get(claim)?.as_str());
            text.filter(|text| is_short(text)).unwrap_or_default().to_owned()
        };
        // OpenID Connect: an address that is not verified may be anybody's.
        let is_verified = claims.get("email_verified").is_none_or(|verified| *verified == true);
        let user = User {
            id: id.as_str().into(),
            email: if is_verified { text(&self.settings.email_claim) } else { String::new() },
            name: text(&self.settings.name_claim),
            role: self.role(claims),
            account: None,
        };
        Ok((user, expires_at))
    }

    /// The first role that the issuer may give.
    fn role(&self, claims: &Map<String, Json>) -> String {
        let claim = self.settings.role_claim.as_ref().and_then(|claim| claims.get(claim));
        let roles = match claim {
            Some(Json::Array(roles)) => roles.as_slice(),
            Some(role) => std::slice::from_ref(role),
            None => &[],
        };
        let mut roles =
            roles.iter().filter_map(Json::as_str).filter(|role| !role.is_empty() && is_short(role));
        let given = roles.find(|role| self.settings.allow_admin || *role != ROLE_ADMIN);
        given.unwrap_or(ROLE_USER).to_owned()
    }
}

fn algorithm(of: IssuerAlgorithm) -> Algorithm {
    match of {
        IssuerAlgorithm::Hs256 => Algorithm::HS256,
        IssuerAlgorithm::Rs256 => Algorithm::RS256,
        IssuerAlgorithm::Es256 => Algorithm::ES256,
        IssuerAlgorithm::EdDsa => Algorithm::EdDSA,
    }
}

fn read(setting: &str, path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path)
        .map_err(|error| Error::Internal(format!("`{setting}` is {path:?}, which cannot be read: {error}")))
}

fn unusable(setting: &str, path: &Path, wanted: &str) -> Error {
    Error::Internal(format!("`{setting}` is {path:?}, which has no such key; allowed: {wanted}"))
}

/// The public key of a PEM file, if it is one for this algorithm.
fn pem_key(of: IssuerAlgorithm, pem: &[u8]) -> Option<DecodingKey> {
    // The library would take a private key, with which nothing verifies.
    let text = std::str::from_utf8(pem).ok()?;
    if !text.contains("-----BEGIN PUBLIC KEY-----") && !text.contains("-----BEGIN RSA PUBLIC KEY-----") {
        return None;
    }
    let key = match of {
        IssuerAlgorithm::Hs256 => return None,
        IssuerAlgorithm::Rs256 => DecodingKey::from_rsa_pem(pem),
        IssuerAlgorithm::Es256 => DecodingKey::from_ec_pem(pem),
        IssuerAlgorithm::EdDsa => DecodingKey::from_ed_pem(pem),
    };
    let key = key.ok()?;
    let bytes = key.try_get_as_bytes().ok()?.len();
    is_usable(of, &key, bytes).then_some(key)
}

/// The keys of a set that this algorithm can use; sets hold others too.
fn jwks_keys(of: IssuerAlgorithm, set: &JwkSet) -> Vec<(Option<String>, DecodingKey)> {
    let fitting = set.keys.iter().filter(|key| is_meant_for(of, key));
    fitting
        .filter_map(|jwk| {
            let key = DecodingKey::from_jwk(jwk).ok()?;
            let bytes = match key.kind() {
                jsonwebtoken::DecodingKeyKind::SecretOrDer(bytes) => bytes.len(),
                jsonwebtoken::DecodingKeyKind::RsaModulusExponent { n, .. } => n.len(),
            };
            is_usable(of, &key, bytes).then(|| (jwk.common.key_id.clone(), key))
        })
        .collect()
}

fn is_meant_for(of: IssuerAlgorithm, key: &Jwk) -> bool {
    let is_of_kind = match (&key.algorithm, of) {
        (AlgorithmParameters::RSA(_), IssuerAlgorithm::Rs256) => true,
        (AlgorithmParameters::EllipticCurve(key), IssuerAlgorithm::Es256) => key.curve == EllipticCurve::P256,
        (AlgorithmParameters::OctetKeyPair(key), IssuerAlgorithm::EdDsa) => {
            key.curve == EllipticCurve::Ed25519
        }
        _ => false,
    };
    let named = key.common.key_algorithm;
    let is_for_signatures = matches!(key.common.public_key_use, None | Some(PublicKeyUse::Signature));
    is_of_kind && is_for_signatures && named.is_none_or(|named| named == KeyAlgorithm::from(algorithm(of)))
}

/// Whether the key is long enough, and the library takes it for the algorithm.
fn is_usable(of: IssuerAlgorithm, key: &DecodingKey, bytes: usize) -> bool {
    let is_long_enough = match of {
        IssuerAlgorithm::Rs256 => bytes >= RSA_BYTES_MIN,
        // The library cuts a longer key and fails on a shorter one.
        IssuerAlgorithm::EdDsa => bytes == ED25519_BYTES,
        IssuerAlgorithm::Es256 | IssuerAlgorithm::Hs256 => true,
    };
    is_long_enough && jsonwebtoken::crypto::verify("", b"", key, algorithm(of)).is_ok()
}

/// Why a token is refused, without anything of the token.
fn reason(error: &ErrorKind) -> &'static str {
    match error {
        ErrorKind::InvalidAlgorithm => "its algorithm is not the configured one",
        ErrorKind::InvalidSignature => "its signature is wrong",
        ErrorKind::MissingRequiredClaim(_) => "it lacks `exp`, `iss` or `aud`",
        ErrorKind::ExpiredSignature => "it has expired",
        ErrorKind::ImmatureSignature => "it does not count yet (`nbf`)",
        ErrorKind::InvalidIssuer => "its `iss` is another",
        ErrorKind::InvalidAudience => "its `aud` is another",
        _ => "it is malformed",
    }
}

/// Text, or a whole number, as text.
fn user_id(claim: Option<&Json>) -> Option<String> {
    let id = match claim? {
        Json::String(text) => text.clone(),
        Json::Number(number) if !number.is_f64() => number.to_string(),
        _ => return None,
    };
    (1..=USER_ID_BYTES_MAX).contains(&id.len()).then_some(id)
}

/// Seconds since the epoch, which may have a fraction.
fn seconds(claim: &Json) -> Option<i64> {
    claim.as_i64().or_else(|| claim.as_f64().map(|seconds| seconds as i64))
}

fn is_short(text: &str) -> bool {
    text.chars().count() <= TEXT_CHARS_MAX
}
