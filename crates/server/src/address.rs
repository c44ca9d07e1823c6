//! Where a server listens, and where a client finds it.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// `unix:PATH` or `tcp:HOST:PORT`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ListenAddress {
    /// A Unix socket at this path.
    Unix(PathBuf),
    /// TCP. A name may stand for several addresses; an IPv6 address stands in brackets.
    Tcp {
        /// Name or address.
        host: String,
        /// Port; 0 lets the system choose.
        port: u16,
    },
}

/// An address that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no address: {why}; write unix:PATH or tcp:HOST:PORT")]
pub struct ParseAddressError {
    text: String,
    why: &'static str,
}

impl FromStr for ListenAddress {
    type Err = ParseAddressError;

    fn from_str(text: &str) -> Result<Self, ParseAddressError> {
        parse(text).map_err(|why| ParseAddressError { text: text.to_owned(), why })
    }
}

fn parse(text: &str) -> Result<ListenAddress, &'static str> {
    if let Some(path) = text.strip_prefix("unix:") {
        return match path {
            "" => Err("the path is missing"),
            path => Ok(ListenAddress::Unix(path.into())),
        };
    }
    let rest = text.strip_prefix("tcp:").ok_or("it begins neither with unix: nor with tcp:")?;
    let (host, port) = rest.rsplit_once(':').ok_or("the port is missing")?;
    let port = port.parse().map_err(|_| "the port is not a number up to 65535")?;
    let host = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(bare) => bare,
        None if host.contains(':') => return Err("IPv6 needs brackets, as in [::1]"),
        None => host,
    };
    match host {
        "" => Err("the host is missing"),
        host => Ok(ListenAddress::Tcp { host: host.to_owned(), port }),
    }
}

impl ListenAddress {
    /// It, with a relative path taken from `base`.
    #[must_use]
    pub fn absolute(self, base: &Path) -> Self {
        match self {
            Self::Unix(path) => Self::Unix(base.join(path)),
            tcp @ Self::Tcp { .. } => tcp,
        }
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Tcp { host, port } if host.contains(':') => write!(f, "tcp:[{host}]:{port}"),
            Self::Tcp { host, port } => write!(f, "tcp:{host}:{port}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_as_it_is_written() {
        for text in ["unix:/run/h.sock", "unix:a:b", "tcp:localhost:10809", "tcp:[::1]:0"] {
            assert_eq!(text.parse::<ListenAddress>().unwrap().to_string(), text);
        }
        let address = ListenAddress::Tcp { host: "::1".to_owned(), port: 7 };
        assert_eq!("tcp:[::1]:7".parse(), Ok(address));
    }

    #[test]
    fn what_is_not_an_address_is_refused() {
        for text in [
            "",
            "unix:",
            "/run/h.sock",
            "tcp:localhost",
            "tcp::1",
            "tcp:h:70000",
            "tcp:::1:10809",
            "tcp:[::1:1",
            "udp:h:1",
        ] {
            assert!(text.parse::<ListenAddress>().is_err(), "{text}");
        }
    }
}
