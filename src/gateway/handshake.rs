//! The HTTP request that opens a transport: what is kept of it, and who may send how many.
//!
//! A request's own parts are slices of hyper's 8 to 16 KiB read buffer; what is kept are copies.

use std::net::{IpAddr, Ipv4Addr};
use std::num::NonZeroU32;
use std::time::Duration;

use axum::http::Request;
use axum::http::header::{self, HeaderName};
use gatewright_admin_api::request::{ACCESS_COOKIE, bearer, cookie, cookie_counts, network_of, own_origin};
use gatewright_core::config;
use gatewright_core::script::SECRET_HEADERS;
use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use serde_json::{Map, Value as Json};

use crate::http::Serves;

/// What is kept of the request that opened a transport.
#[derive(Debug, Clone)]
pub struct Handshake {
    /// The client's address.
    pub ip: IpAddr,
    /// The token of the `Authorization` header.
    pub bearer: Option<Box<str>>,
    /// The token of the `accessToken` cookie.
    pub cookie_token: Option<Box<str>>,
    /// Whether it came to where admins are served.
    pub is_for_admins: bool,
    origin: Option<Box<str>>,
    /// The server's, as its client reached it.
    own_origin: Option<Box<str>>,
    /// As `name: value` lines.
    headers: Box<str>,
    query: Box<str>,
}

impl Default for Handshake {
    fn default() -> Self {
        Self {
            ip: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            bearer: None,
            cookie_token: None,
            is_for_admins: false,
            origin: None,
            own_origin: None,
            headers: Box::default(),
            query: Box::default(),
        }
    }
}

impl Handshake {
    /// What is kept of this request.
    pub fn new<B>(request: &Request<B>, ip: IpAddr, trusts_proxy: bool) -> Self {
        let headers = request.headers();
        let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
        let mut lines = String::new();
        for (name, value) in headers {
            if let (false, Ok(value)) = (SECRET_HEADERS.contains(&name.as_str()), value.to_str()) {
                lines.push_str(name.as_str());
                lines.push_str(": ");
                lines.push_str(value);
                lines.push('\n');
            }
        }
        Self {
            ip,
            bearer: bearer(headers).map(Box::from),
            cookie_token: cookie(headers, ACCESS_COOKIE).map(Box::from),
            is_for_admins: request.extensions().get::<Serves>() == Some(&Serves::All),
            origin: text(header::ORIGIN).map(Box::from),
            own_origin: own_origin(headers, trusts_proxy).map(Box::from),
            headers: lines.into(),
            query: request.uri().query().unwrap_or_default().into(),
        }
    }

    /// Whether the request's origin may connect: none, the server's own, a listed one, or any.
    pub fn origin_is_allowed(&self, allowed: &[String]) -> bool {
        self.cookie_counts(allowed) || allowed.iter().any(|origin| origin == "*")
    }

    /// Whether a cookie counts: for "any origin" it does not, or any web page could ride on a
    /// user's session.
    pub fn cookie_counts(&self, allowed: &[String]) -> bool {
        cookie_counts(self.origin.as_deref(), self.own_origin.as_deref(), allowed)
    }

    /// The headers as a script sees them.
    pub fn headers(&self) -> Map<String, Json> {
        let lines = self.headers.lines().filter_map(|line| line.split_once(": "));
        lines.map(|(name, value)| (name.to_owned(), value.into())).collect()
    }

    /// The query as a script sees it.
    pub fn query(&self) -> Map<String, Json> {
        let pairs = url::form_urlencoded::parse(self.query.as_bytes());
        pairs.map(|(name, value)| (name.into_owned(), value.into_owned().into())).collect()
    }
}

/// New connections per second and address.
pub struct AddressRates(Option<DefaultKeyedRateLimiter<IpAddr>>);

impl AddressRates {
    /// As configured; 0 means no limit.
    pub fn new(limits: &config::Limits) -> Self {
        let rate = NonZeroU32::new(limits.connections_per_second_per_ip);
        Self(rate.map(|rate| {
            let burst = NonZeroU32::new(limits.connections_burst_per_ip).unwrap_or(rate);
            RateLimiter::keyed(Quota::per_second(rate).allow_burst(burst))
        }))
    }

    /// Whether this address may open another connection; else how long it has to wait.
    pub fn check(&self, address: IpAddr) -> Result<(), Duration> {
        let Some(limiter) = &self.0 else { return Ok(()) };
        let checked = limiter.check_key(&network_of(address));
        checked.map_err(|not_until| not_until.wait_time_from(DefaultClock::default().now()))
    }

    /// Forgets addresses that have been quiet.
    pub fn forget_quiet(&self) {
        if let Some(limiter) = &self.0 {
            limiter.retain_recent();
        }
    }
}
