//! What a request says of its sender: address, token, origin.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use axum::http::HeaderMap;
use axum::http::header;

/// The cookie of an access token.
pub const ACCESS_COOKIE: &str = "accessToken";
/// The cookie of a refresh token.
pub const REFRESH_COOKIE: &str = "refreshToken";
/// The header of an app key.
pub const APP_KEY_HEADER: &str = "x-app-token";
/// The header in which a proxy says how the client speaks to it.
const FORWARDED_PROTO: &str = "x-forwarded-proto";

/// A cookie's value, unless it is empty.
pub fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(key, _)| *key == name)
        .map(|(_, value)| value)
        .filter(|value| !value.is_empty())
}

/// The token of `Authorization: Bearer`.
pub fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim()).filter(|token| !token.is_empty())
}

/// The origin under which the sender of a request reached this server. The server itself speaks no
/// TLS: that a client does is known from a proxy alone, and only where one is trusted.
pub fn own_origin(headers: &HeaderMap, trusts_proxy: bool) -> Option<String> {
    let host = headers.get(header::HOST)?.to_str().ok()?;
    let forwarded = headers.get_all(FORWARDED_PROTO).iter().next_back().and_then(|value| value.to_str().ok());
    let last = forwarded.and_then(|value| value.rsplit(',').next()).unwrap_or_default().trim();
    let scheme = if trusts_proxy && last.eq_ignore_ascii_case("https") { "https" } else { "http" };
    Some(format!("{scheme}://{host}"))
}

/// Whether two origins are one: the same scheme, host and port.
pub fn is_same_origin(origin: &str, own: Option<&str>) -> bool {
    fn parts(origin: &str) -> Option<(&str, &str)> {
        let (scheme, host) = origin.split_once("://")?;
        let default_port = if scheme.eq_ignore_ascii_case("https") { ":443" } else { ":80" };
        Some((scheme, host.strip_suffix(default_port).unwrap_or(host)))
    }
    let (Some(origin), Some(own)) = (parts(origin), own.and_then(parts)) else { return false };
    origin.0.eq_ignore_ascii_case(own.0) && origin.1.eq_ignore_ascii_case(own.1)
}

/// Whether a cookie of this request counts: its origin is absent, the server's own or listed by
/// name. For "any origin" it does not count, or any web page could ride on a user's session.
pub fn cookie_counts(origin: Option<&str>, own: Option<&str>, allowed: &[String]) -> bool {
    origin.is_none_or(|origin| is_same_origin(origin, own) || allowed.iter().any(|listed| listed == origin))
}

/// The client's address: of the trusted header's last entry, which the proxy wrote, else of the
/// connection.
pub fn client_address(headers: &HeaderMap, peer: Option<SocketAddr>, trusted_header: Option<&str>) -> IpAddr {
    let of_header = trusted_header
        .and_then(|name| headers.get_all(name).iter().next_back())
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.rsplit(',').next())
        .and_then(|value| value.trim().parse().ok());
    of_header.or(peer.map(|peer| peer.ip())).unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED))
}

/// What stands for one client: an IPv6 client has a whole /64 at its disposal.
pub fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX))),
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn origins() {
        let check = |origin, allowed: &[&str]| {
            let allowed: Vec<String> = allowed.iter().map(|origin| (*origin).to_owned()).collect();
            cookie_counts(origin, Some("https://app.example:443"), &allowed)
        };
        assert!(check(None, &[]));
        assert!(check(Some("https://app.example"), &[]));
        assert!(!check(Some("https://evil.example"), &["*"]));
        assert!(!check(Some("https://evil.example"), &["https://app.example"]));
        assert!(check(Some("https://x.example"), &["*", "https://x.example"]));
        assert!(!check(Some("null"), &[]));
        assert!(!check(Some("http://app.example"), &[]), "another scheme");
        assert!(!check(Some("http://app.example:443"), &[]));
        assert!(!check(Some("https://app.example:80"), &[]));
        assert!(check(Some("https://APP.example:443"), &[]));
        assert!(!check(Some("https://app.example.evil.example"), &[]));
    }

    #[test]
    fn own_origins() {
        let mut headers = HeaderMap::new();
        assert_eq!(own_origin(&headers, true), None);
        headers.insert(header::HOST, HeaderValue::from_static("app.example"));
        headers.insert(FORWARDED_PROTO, HeaderValue::from_static("http, https"));
        assert_eq!(own_origin(&headers, true).as_deref(), Some("https://app.example"));
        assert_eq!(own_origin(&headers, false).as_deref(), Some("http://app.example"), "anyone may say so");
        headers.insert(FORWARDED_PROTO, HeaderValue::from_static("https, http"));
        assert_eq!(own_origin(&headers, true).as_deref(), Some("http://app.example"));
    }

    #[test]
    fn addresses() {
        let mut headers = HeaderMap::new();
        headers.insert("x-forwarded-for", HeaderValue::from_static("6.6.6.6, 1.2.3.4"));
        let peer = Some(SocketAddr::from(([127, 0, 0, 1], 1)));
        assert_eq!(client_address(&headers, peer, None), IpAddr::from([127, 0, 0, 1]));
        assert_eq!(client_address(&headers, peer, Some("x-forwarded-for")), IpAddr::from([1, 2, 3, 4]));
        assert_eq!(client_address(&headers, peer, Some("x-real-ip")), IpAddr::from([127, 0, 0, 1]));
    }

    #[test]
    fn networks() {
        let address: IpAddr = "2001:db8:1:2:3:4:5:6".parse().unwrap();
        assert_eq!(network_of(address), "2001:db8:1:2::".parse::<IpAddr>().unwrap());
        assert_eq!(network_of("::ffff:1.2.3.4".parse().unwrap()), IpAddr::from([1, 2, 3, 4]));
    }

    #[test]
    fn cookies() {
        let mut headers = HeaderMap::new();
        headers.insert(header::COOKIE, HeaderValue::from_static("a=b; accessToken=xyz; refreshToken="));
        assert_eq!(cookie(&headers, ACCESS_COOKIE), Some("xyz"));
        assert_eq!(cookie(&headers, REFRESH_COOKIE), None);
    }
}
