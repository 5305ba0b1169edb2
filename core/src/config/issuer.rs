//! `[auth.issuer]`: whose tokens count besides our own.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer};

use super::check::wrong;
use super::{ConfigError, optional};

/// The shortest secret of HS256 (RFC 7518, section 3.2).
const SECRET_BYTES_MIN: usize = 32;

/// `[auth.issuer]`; without an `issuer` there is none.
#[derive(Debug, Clone, Deserialize)]
#[expect(missing_docs, reason = "each field is documented where its default is")]
pub struct Issuer {
    pub issuer: String,
    pub audience: String,
    #[serde(deserialize_with = "algorithm")]
    pub algorithm: IssuerAlgorithm,
    pub secret: String,
    #[serde(deserialize_with = "optional")]
    pub public_key_file: Option<PathBuf>,
    #[serde(deserialize_with = "optional")]
    pub jwks_file: Option<PathBuf>,
    pub user_id_claim: String,
    #[serde(deserialize_with = "optional")]
    pub email_claim: Option<String>,
    #[serde(deserialize_with = "optional")]
    pub name_claim: Option<String>,
    #[serde(deserialize_with = "optional")]
    pub role_claim: Option<String>,
    pub allow_admin: bool,
}

/// How the issuer signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names of RFC 7518 and RFC 8037")]
pub enum IssuerAlgorithm {
    Hs256,
    Rs256,
    Es256,
    EdDsa,
}

/// Where the issuer's key is.
#[derive(Debug, Clone, Copy)]
pub enum IssuerKey<'a> {
    /// The secret itself.
    Secret(&'a str),
    /// A public key as PEM.
    PublicKeyFile(&'a Path),
    /// A set of public keys (RFC 7517).
    JwksFile(&'a Path),
}

impl IssuerAlgorithm {
    const ALL: [Self; 4] = [Self::Hs256, Self::Rs256, Self::Es256, Self::EdDsa];

    /// The name in a token's header.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hs256 => "HS256",
            Self::Rs256 => "RS256",
            Self::Es256 => "ES256",
            Self::EdDsa => "EdDSA",
        }
    }
}

impl Issuer {
    /// The issuer's key; none where there is no issuer.
    pub fn key(&self) -> Option<IssuerKey<'_>> {
        if self.issuer.is_empty() {
            return None;
        }
        let of_jwks = self.jwks_file.as_deref().map(IssuerKey::JwksFile);
        let of_file = self.public_key_file.as_deref().map(IssuerKey::PublicKeyFile);
        Some(of_jwks.or(of_file).unwrap_or(IssuerKey::Secret(&self.secret)))
    }
}

/// Refuses an issuer that is half set, or whose key does not fit its algorithm.
pub(super) fn check(issuer: &Issuer) -> Result<(), ConfigError> {
    let keys = [
        ("auth.issuer.secret", !issuer.secret.is_empty()),
        ("auth.issuer.public_key_file", issuer.public_key_file.is_some()),
        ("auth.issuer.jwks_file", issuer.jwks_file.is_some()),
    ];
    let keys: Vec<_> = keys.into_iter().filter(|(_, is_set)| *is_set).map(|(key, _)| key).collect();
    if issuer.issuer.is_empty() {
        let other = keys.first().copied().or((!issuer.audience.is_empty()).then_some("auth.issuer.audience"));
        return other.map_or(Ok(()), |other| {
            let allowed = format!("the `iss` claim of the issuer's tokens, since `{other}` is set");
            Err(wrong("auth.issuer.issuer", "empty", allowed))
        });
    }
    if issuer.audience.is_empty() {
        return Err(wrong("auth.issuer.audience", "empty", "the `aud` claim of the tokens meant for here"));
    }
    if issuer.user_id_claim.is_empty() {
        return Err(wrong("auth.issuer.user_id_claim", "empty", "the name of a claim, such as sub"));
    }
    check_key(issuer, &keys)
}

fn check_key(issuer: &Issuer, keys: &[&str]) -> Result<(), ConfigError> {
    let algorithm = issuer.algorithm.as_str();
    let fitting: &[&str] = match issuer.algorithm {
        IssuerAlgorithm::Hs256 => &["auth.issuer.secret"],
        _ => &["auth.issuer.public_key_file", "auth.issuer.jwks_file"],
    };
    match keys {
        [key] if fitting.contains(key) => {}
        [] => return Err(wrong(fitting[0], "empty", format!("the issuer's key for {algorithm}"))),
        keys => {
            let allowed = format!("for {algorithm}, `{}` alone", fitting.join("` or `"));
            return Err(wrong(keys[0], "set", with_others(keys, &allowed)));
        }
    }
    if issuer.algorithm == IssuerAlgorithm::Hs256 && issuer.secret.len() < SECRET_BYTES_MIN {
        let length = format!("{} bytes long", issuer.secret.len());
        return Err(wrong("auth.issuer.secret", length, format!("{SECRET_BYTES_MIN} bytes or more")));
    }
    Ok(())
}

fn with_others(keys: &[&str], allowed: &str) -> String {
    match &keys[1..] {
        [] => allowed.to_owned(),
        others => format!("{allowed} (`{}` is set too)", others.join("`, `")),
    }
}

fn algorithm<'de, D: Deserializer<'de>>(deserializer: D) -> Result<IssuerAlgorithm, D::Error> {
    let text = String::deserialize(deserializer)?;
    IssuerAlgorithm::ALL.into_iter().find(|algorithm| algorithm.as_str() == text).ok_or_else(|| {
        let known = IssuerAlgorithm::ALL.map(IssuerAlgorithm::as_str).join(", ");
        serde::de::Error::custom(format!("is {text:?}; allowed: {known}"))
    })
}
