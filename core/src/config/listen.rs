//! Where a server listens, as people write it.

use std::fmt;
use std::str::FromStr;

/// A host name or an address, and a port: `localhost:4000`, `127.0.0.1:4000`, `[::1]:4000`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenAddress(String);

impl ListenAddress {
    /// For the system's resolver.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ListenAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_name = |host: &str| {
            !host.is_empty()
                && host.chars().all(|c| c.is_ascii_alphanumeric() || ['-', '.', '_'].contains(&c))
        };
        let named =
            text.rsplit_once(':').is_some_and(|(host, port)| is_name(host) && port.parse::<u16>().is_ok());
        if named || text.parse::<std::net::SocketAddr>().is_ok() {
            return Ok(Self(text.to_owned()));
        }
        Err(format!("is {text:?}; allowed: HOST:PORT, such as 127.0.0.1:4000, localhost:4000 or [::1]:4000"))
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        for right in ["127.0.0.1:0", "localhost:4000", "[::1]:4000", "my-host.example:80"] {
            assert_eq!(
                right.parse::<ListenAddress>().map(|address| address.to_string()),
                Ok(right.to_owned())
            );
        }
        for wrong in [
            "",
            "4000",
            ":4000",
            "localhost",
            "localhost:",
            "localhost:70000",
            "::1:4000",
            "a b:1",
            "http://a:1",
        ] {
            assert!(wrong.parse::<ListenAddress>().is_err(), "{wrong}");
        }
    }
}
