//! The life of the token and the app key that a socket came with: warned, renewed in place, or at its end.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use gatewright_core::auth::SignedIn;
use gatewright_core::store::Time;
use gatewright_core::{ErrorCode, Failure};
use parking_lot::Mutex;
use serde::de::IgnoredAny;
use socketioxide::extract::AckSender;
use time::format_description::well_known::Rfc3339;
use tokio::sync::Notify;

use super::connection::Connection;
use super::hub::Hub;
use super::packets::{self, ErrorBody, TokenRefreshed, TokenTime};

/// How long before its end a token's owner is warned.
const WARNING: Duration = Duration::from_secs(60);

/// A packet with a token, at most; no issuer's are longer.
const PACKET_BYTES_MAX: usize = 64 << 10;

/// When which connection has to hear of its token: one list for all, not a timer for each.
#[derive(Default)]
pub struct Expiries {
    due: Mutex<Due>,
    changed: Notify,
}

#[derive(Default)]
struct Due {
    entries: BTreeMap<(Time, u64), (Weak<Connection>, Step)>,
    next_number: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Warn,
    End,
    EndAppKey,
}

impl Expiries {
    /// Watches a connection whose token ends then.
    pub fn add(&self, connection: &Arc<Connection>, expires_at: Time) {
        self.insert(expires_at - WARNING, connection, Step::Warn);
        self.insert(expires_at, connection, Step::End);
        self.changed.notify_one();
    }

    /// Watches a connection whose app key ends, if it does.
    pub fn add_app_key(&self, connection: &Arc<Connection>) {
        if let Some(expires_at) = connection.app_key().and_then(|key| key.expires_at) {
            self.insert(expires_at, connection, Step::EndAppKey);
            self.changed.notify_one();
        }
    }

    fn insert(&self, at: Time, connection: &Arc<Connection>, step: Step) {
        let mut due = self.due.lock();
        due.next_number += 1;
        let number = due.next_number;
        due.entries.insert((at, number), (Arc::downgrade(connection), step));
    }

    /// Does what is due, for as long as it is polled.
    pub async fn watch(&self) {
        loop {
            let now = Time::now_utc();
            let wait = loop {
                let mut due = self.due.lock();
                match due.entries.first_entry() {
                    None => break None,
                    Some(first) if first.key().0 > now => break Some(first.key().0 - now),
                    Some(first) => {
                        let ((at, _), (connection, step)) = first.remove_entry();
                        drop(due);
                        if let Some(connection) = connection.upgrade() {
                            take_step(&connection, at, step);
                        }
                    }
                }
            };
            let wait = wait.and_then(|wait| wait.try_into().ok()).unwrap_or(Duration::from_secs(3600));
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = self.changed.notified() => {}
            }
        }
    }
}

fn take_step(connection: &Connection, at: Time, step: Step) {
    if step == Step::EndAppKey {
        // A key whose end was moved has another entry.
        if connection.app_key().and_then(|key| key.expires_at) == Some(at) {
            connection.end();
        }
        return;
    }
    let Some(expires_at) = connection.identity().map(|identity| identity.expires_at) else { return };
    let text = expires_at.format(&Rfc3339).unwrap_or_default();
    match step {
        // A renewed token has entries of its own.
        Step::Warn if at == expires_at - WARNING => {
            connection.send_or_end(packets::TOKEN_EXPIRING, &TokenTime::ExpiresAt(&text));
        }
        Step::End if at == expires_at => {
            connection.send_or_end(packets::TOKEN_EXPIRED, &TokenTime::ExpiredAt(&text));
            connection.end();
        }
        _ => {}
    }
}

/// `token_refresh {token}`: a newer token for the same user, without reconnecting. One at a time,
/// and no more often than a transport may connect.
pub fn refresh(connection: &Arc<Connection>, packet: &str, ack: Option<AckSender>) {
    let too_many = Failure::new(ErrorCode::RateLimited, "One token_refresh at a time, and not so many");
    if connection.is_refreshing.swap(true, Ordering::SeqCst) {
        return answer(connection, ack, &Err(too_many));
    }
    let token = token_of(packet);
    let connection = connection.clone();
    let is_limited = !connection.session.may_sign_in();
    tokio::spawn(async move {
        let renewed = match token {
            _ if is_limited => Err(too_many),
            None => Err(Failure::new(ErrorCode::InvalidPayload, "token_refresh takes {token}")),
            Some(token) => renew(connection.hub(), &connection, &token).await,
        };
        connection.is_refreshing.store(false, Ordering::SeqCst);
        answer(&connection, ack, &renewed);
    });
}

fn token_of(packet: &str) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct Fields {
        token: String,
    }
    if packet.len() > PACKET_BYTES_MAX {
        return None;
    }
    let (_, Fields { token }) = serde_json::from_str::<(IgnoredAny, Fields)>(packet).ok()?;
    Some(token)
}

fn answer(connection: &Connection, ack: Option<AckSender>, renewed: &Result<Time, Failure>) {
    let Some(ack) = ack else { return };
    let answer = match renewed {
        Ok(expires_at) => {
            TokenRefreshed { ok: true, expires_at: expires_at.format(&Rfc3339).ok(), error: None }
        }
        Err(failure) => TokenRefreshed { ok: false, expires_at: None, error: Some(ErrorBody::of(failure)) },
    };
    connection.acknowledge(ack, &answer);
}

async fn renew(hub: &Hub, connection: &Arc<Connection>, token: &str) -> Result<Time, Failure> {
    let identity: SignedIn =
        hub.accounts.authenticate_socket(token).await.map_err(gatewright_core::Error::into_failure)?;
    if connection.user_id().as_ref() != Some(&identity.user.id) {
        return Err(Failure::new(ErrorCode::AuthInvalid, "The token is not of the user who is connected"));
    }
    let expires_at = identity.expires_at;
    connection.set_identity(identity);
    hub.expiries.add(connection, expires_at);
    Ok(expires_at)
}
