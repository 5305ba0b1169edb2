//! The product's own tokens: JWT with HS256 and a secret that never leaves the data folder.

use std::io::{Read, Write};
use std::path::Path;
use std::time::Duration;

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::error::{Error, ErrorCode, Failure, Result};
use crate::store::private;

const SECRET_FILE: &str = "secret";
const SECRET_BYTES: usize = 32;

/// What a token may be used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TokenKind {
    /// Requests and sockets.
    Access,
    /// Sockets alone; there is no other token for it.
    Websocket,
    /// Only for new tokens.
    Refresh,
}

/// What a token says.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Claims {
    /// The user.
    pub sub: Uuid,
    /// The session.
    pub sid: Uuid,
    pub typ: TokenKind,
    /// The session's generation, for refresh tokens.
    pub generation: i64,
    /// Seconds since the epoch.
    pub iat: i64,
    /// Seconds since the epoch.
    pub exp: i64,
}

/// The signing secret of this installation.
pub struct Secret {
    encoding: EncodingKey,
    decoding: DecodingKey,
    bytes: [u8; SECRET_BYTES],
}

impl Secret {
    /// Reads the secret of the data folder; makes it, mode 0600, if there is none.
    ///
    /// # Errors
    /// When the file can neither be read nor made, or is not a secret.
    pub fn of_data_dir(data_dir: &Path) -> Result<Self> {
        let path = data_dir.join(SECRET_FILE);
        let failed =
            |error: std::io::Error| Error::Internal(format!("secret file {}: {error}", path.display()));
        private::make_folder(data_dir)?;
        private::warn_of_others(data_dir);
        if !path.exists() {
            make_secret(data_dir, &path).map_err(failed)?;
        }
        private::narrow(&path);
        let mut bytes = [0; SECRET_BYTES];
        std::fs::File::open(&path).and_then(|mut file| file.read_exact(&mut bytes)).map_err(failed)?;
        Ok(Self::from_bytes(bytes))
    }

    /// A secret from its bytes.
    pub fn from_bytes(bytes: [u8; SECRET_BYTES]) -> Self {
        Self { encoding: EncodingKey::from_secret(&bytes), decoding: DecodingKey::from_secret(&bytes), bytes }
    }

    pub(super) fn sign(&self, claims: &Claims) -> String {
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), claims, &self.encoding)
            .expect("claims are plain JSON and the key fits the algorithm")
    }

    /// The claims of a token of one of these kinds that is genuine and not expired.
    pub(super) fn verify(&self, token: &str, kinds: &[TokenKind]) -> Result<Claims> {
        let mut validation = Validation::new(Algorithm::HS256);
        validation.leeway = 0;
        jsonwebtoken::decode::<Claims>(token, &self.decoding, &validation)
            .ok()
            .map(|data| data.claims)
            // The library still accepts a token in the very second in which it expires.
            .filter(|claims| kinds.contains(&claims.typ) && claims.exp > (crate::id::unix_ms() / 1000) as i64)
            .ok_or_else(|| invalid_token().into())
    }

    /// Signs claims of a script (`@HELPERS.jwt.sign`) with a key that is derived for that use, so
    /// that no script can make a token of ours.
    pub fn sign_for_scripts(
        &self,
        mut claims: serde_json::Map<String, serde_json::Value>,
        ttl: Duration,
    ) -> String {
        use sha2::Digest;
        let key =
            sha2::Sha256::new_with_prefix(b"gatewright script tokens").chain_update(self.bytes).finalize();
        let issued = crate::id::unix_ms() / 1000;
        claims.insert("iat".into(), issued.into());
        claims.insert("exp".into(), (issued + ttl.as_secs()).into());
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &EncodingKey::from_secret(&key))
            .expect("claims are plain JSON and the key fits the algorithm")
    }
}

/// Makes the file of the secret, whole or not at all. Of two processes that try at once, one succeeds.
fn make_secret(data_dir: &Path, path: &Path) -> std::io::Result<()> {
    let draft = data_dir.join(format!("{SECRET_FILE}.{}", crate::id::new_id()));
    let mut bytes = [0; SECRET_BYTES];
    rand::Rng::fill_bytes(&mut rand::rng(), &mut bytes);
    let mut file = private::create(&draft)?;
    file.write_all(&bytes)?;
    file.sync_all()?;
    // A link, unlike a new name, never takes the place of a secret that another process has made.
    match std::fs::hard_link(&draft, path) {
        Ok(()) => std::fs::remove_file(&draft)?,
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => std::fs::remove_file(&draft)?,
        // Not every file system has links.
        Err(_) => std::fs::rename(&draft, path)?,
    }
    std::fs::File::open(data_dir)?.sync_all()
}

/// The one answer to any token that does not count.
pub(super) fn invalid_token() -> Failure {
    Failure::new(ErrorCode::AuthInvalid, "Invalid authentication token")
}
