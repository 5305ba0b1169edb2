//! `@HELPERS.fetch`: HTTP requests to the hosts of the allow-list, and never to a private address.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use rhai::{EvalAltResult, Map};
use ureq::config::Config as AgentConfig;
use ureq::http::{Method, Request, Uri};
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{DefaultConnector, NextTimeout};
use ureq::{Agent, RequestExt};

use super::helpers::text_map;
use crate::config;
use crate::error::{ErrorCode, Failure};
use crate::queue;
use crate::script::failure::raise;
use crate::script::memory::uncounted;
use crate::script::rows::refuse_in_transaction;
use crate::script::run::{host, refuse_in_admission, time_left};
use crate::script::strings::printed;

type Outcome<T> = Result<T, Box<EvalAltResult>>;

/// Sends requests of scripts. Redirects are not followed: the script sees them.
pub(crate) struct Fetcher {
    agent: Agent,
    hosts: Vec<String>,
    timeout: Duration,
    bytes_max: u64,
}

/// An answer, before it becomes a value of the script.
struct Answer {
    status: i64,
    headers: Vec<(String, String)>,
    body: String,
}

impl Fetcher {
    pub(crate) fn new(limits: &config::Scripts) -> Self {
        Self::with_guard(limits, is_public)
    }

    fn with_guard(limits: &config::Scripts, may_reach: fn(IpAddr) -> bool) -> Self {
        let settings = Agent::config_builder()
            .max_redirects(0)
            .max_redirects_will_error(false)
            .http_status_as_error(false)
            .proxy(None)
            .build();
        let resolver = Guard { inner: DefaultResolver::default(), may_reach };
        Self {
            agent: Agent::with_parts(settings, DefaultConnector::default(), resolver),
            hosts: limits.fetch_hosts.iter().map(|host| host.to_lowercase()).collect(),
            timeout: Duration::from_millis(limits.fetch_timeout_ms),
            bytes_max: limits.fetch_bytes as u64,
        }
    }

    /// `fetch(url, #{method, headers, body})` → `#{status, headers, body}`.
    pub(crate) fn fetch(&self, url: &str, options: &Map) -> Outcome<Map> {
        refuse_in_transaction("@HELPERS.fetch")?;
        let request = self.request(url, options)?;
        let timeout = self.timeout.min(time_left());
        let answer = uncounted(|| queue::wait(|| self.send(request, timeout))).map_err(|error| {
            tracing::debug!(%error, "a script's request failed");
            let message = match error {
                ureq::Error::HostNotFound => "fetch: the host is unknown or has no public address",
                ureq::Error::Timeout(_) => "fetch: the host took too long",
                ureq::Error::BodyExceedsLimit(_) => "fetch: the answer is too large",
                _ => "fetch: the request failed",
            };
            raise(Failure::new(ErrorCode::ServiceUnavailable, message))
        })?;
        let headers = text_map(answer.headers.iter().cloned());
        let body = answer.body.as_str().into();
        uncounted(|| drop(answer.headers));
        let map = Map::from_iter([
            ("status".into(), answer.status.into()),
            ("headers".into(), headers),
            ("body".into(), body),
        ]);
        uncounted(|| drop(answer.body));
        Ok(map)
    }

    fn request(&self, url: &str, options: &Map) -> Outcome<Request<String>> {
        let refused = |message: String| raise(Failure::new(ErrorCode::Validation, message));
        let uri: Uri = url.parse().map_err(|_| refused("fetch: this is no URL".into()))?;
        if !self.is_listed(&uri) {
            let host = uri.host().unwrap_or_default();
            return Err(refused(format!("fetch: the host {host} is not in scripts.fetch_hosts")));
        }
        let method = options.get("method").map_or_else(|| "GET".to_owned(), printed);
        let method = Method::from_bytes(method.to_uppercase().as_bytes())
            .map_err(|_| refused("fetch: this is no HTTP method".into()))?;
        if !host().is_live() && !matches!(method, Method::GET | Method::HEAD) {
            return Err(refused(format!("fetch: a test run sends no {method}, unless it commits")));
        }
        if !matches!(method, Method::GET | Method::HEAD) {
            refuse_in_admission(&format!("@HELPERS.fetch with {method}"))?;
        }
        let mut request = Request::builder().method(method).uri(uri);
        if let Some(headers) = options.get("headers").and_then(|headers| headers.as_map_ref().ok()) {
            for (name, value) in headers.iter() {
                request = request.header(name.as_str(), printed(value));
            }
        }
        let body = options.get("body").map_or_else(String::new, printed);
        request.body(body).map_err(|_| refused("fetch: a header is not well-formed".into()))
    }

    /// Whether the host, or the host with its port, is on the allow-list.
    fn is_listed(&self, uri: &Uri) -> bool {
        let Some(host) = uri.host().map(str::to_lowercase) else { return false };
        let scheme_port = match uri.scheme_str() {
            Some("http") => 80,
            Some("https") => 443,
            _ => return false,
        };
        let port = uri.port_u16().unwrap_or(scheme_port);
        let with_port = format!("{host}:{port}");
        self.hosts.iter().any(|listed| *listed == with_port || (*listed == host && port == scheme_port))
    }

    fn send(&self, request: Request<String>, timeout: Duration) -> Result<Answer, ureq::Error> {
        let request = request.with_agent(&self.agent).configure().timeout_global(Some(timeout)).build();
        let mut response = request.run()?;
        let headers = response
            .headers()
            .iter()
            .filter_map(|(name, value)| Some((name.to_string(), value.to_str().ok()?.to_owned())))
            .collect();
        let body =
            response.body_mut().with_config().limit(self.bytes_max).lossy_utf8(true).read_to_string()?;
        Ok(Answer { status: i64::from(response.status().as_u16()), headers, body })
    }
}

/// A resolver that hides addresses that scripts may not reach. It stands where the connection
/// takes its address from, so a name cannot change its address in between.
#[derive(Debug)]
struct Guard {
    inner: DefaultResolver,
    may_reach: fn(IpAddr) -> bool,
}

impl Resolver for Guard {
    fn resolve(
        &self,
        uri: &Uri,
        config: &AgentConfig,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let all = self.inner.resolve(uri, config, timeout)?;
        let mut reachable = self.empty();
        for address in all.iter().filter(|address| (self.may_reach)(address.ip())) {
            reachable.push(*address);
        }
        if reachable.is_empty() { Err(ureq::Error::HostNotFound) } else { Ok(reachable) }
    }
}

/// Whether an address is of the public Internet (the registries of RFC 6890 and its updates).
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let reserved = a == 0
        || a == 10
        || a == 127
        || a >= 224
        || (a == 100 && (64..128).contains(&b))
        || (a == 169 && b == 254)
        || (a == 172 && (16..32).contains(&b))
        || (a == 192 && b == 168)
        || (a == 192 && b == 0 && (c == 0 || c == 2))
        || (a == 192 && b == 88 && c == 99)
        || (a == 198 && (b == 18 || b == 19))
        || (a == 198 && b == 51 && c == 100)
        || (a == 203 && b == 0 && c == 113);
    !reserved
}

/// Only global unicast (2000::/3), without the ranges that carry an IPv4 address or are reserved.
fn is_public_v6(address: Ipv6Addr) -> bool {
    let [first, second, ..] = address.segments();
    if let Some(address) = address.to_ipv4_mapped() {
        return is_public_v4(address);
    }
    first & 0xe000 == 0x2000 && first != 0x2002 && !(first == 0x2001 && (second < 0x0200 || second == 0x0db8))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        for address in [
            "127.0.0.1",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "0.0.0.0",
            "100.64.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "::1",
            "::",
            "fe80::1",
            "fc00::1",
            "::ffff:127.0.0.1",
            "64:ff9b::7f00:1",
            "2002:7f00:1::",
            "2001::1",
            "2001:db8::1",
        ] {
            assert!(!is_public(address.parse().unwrap()), "{address}");
        }
        for address in ["1.1.1.1", "93.184.216.34", "2606:4700:4700::1111", "::ffff:1.1.1.1"] {
            assert!(is_public(address.parse().unwrap()), "{address}");
        }
    }

    fn fetcher(hosts: &[&str], may_reach: fn(IpAddr) -> bool) -> Fetcher {
        let mut limits = config::Config::defaults().scripts;
        limits.fetch_hosts = hosts.iter().map(|host| (*host).to_owned()).collect();
        Fetcher::with_guard(&limits, may_reach)
    }

    #[test]
    fn the_allow_list_counts_the_port() {
        let fetcher = fetcher(&["api.example", "other.example:8443"], is_public);
        for (url, listed) in [
            ("https://api.example/x", true),
            ("http://API.example", true),
            ("https://api.example:444/", false),
            ("https://other.example:8443/", true),
            ("https://other.example/", false),
            ("https://evil.example/?api.example", false),
            ("https://api.example.evil.example/", false),
            ("https://api.example@evil.example/", false),
            ("file:///etc/passwd", false),
        ] {
            assert_eq!(url.parse().is_ok_and(|uri| fetcher.is_listed(&uri)), listed, "{url}");
        }
    }

    /// One answer from a server of our own.
    fn serve_once(answer: &'static str) -> std::net::SocketAddr {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            use std::io::{Read, Write};
            let (mut stream, _) = listener.accept().unwrap();
            let _ = stream.read(&mut [0; 4096]).unwrap();
            stream.write_all(answer.as_bytes()).unwrap();
        });
        address
    }

    fn send(fetcher: &Fetcher, address: std::net::SocketAddr) -> Result<Answer, ureq::Error> {
        let request = Request::get(format!("http://{address}/")).body(String::new()).unwrap();
        fetcher.send(request, Duration::from_secs(5))
    }

    #[test]
    fn reads_an_answer_and_follows_no_redirect() {
        let anywhere = fetcher(&[], |_| true);
        let answer = send(
            &anywhere,
            serve_once("HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1/\r\ncontent-length: 2\r\n\r\nhi"),
        )
        .unwrap();
        assert_eq!((answer.status, answer.body.as_str()), (302, "hi"));
        assert!(answer.headers.iter().any(|(name, _)| name == "location"));
    }

    #[test]
    fn never_reaches_a_private_address() {
        let address = std::net::SocketAddr::from(([127, 0, 0, 1], 9));
        assert!(matches!(send(&fetcher(&[], is_public), address), Err(ureq::Error::HostNotFound)));
    }

    #[test]
    fn a_large_answer_is_refused() {
        let mut small = fetcher(&[], |_| true);
        small.bytes_max = 1;
        let answer = send(&small, serve_once("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi"));
        assert!(matches!(answer, Err(ureq::Error::BodyExceedsLimit(_))));
    }
}
