//! Where a server listens, and where a client finds it.

use std::fmt;
use std::path::PathBuf;
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
#[error("not an address of the form unix:PATH or tcp:HOST:PORT: {text:?}")]
pub struct ParseAddressError {
    text: String,
}

impl FromStr for ListenAddress {
    type Err = ParseAddressError;

    fn from_str(text: &str) -> Result<Self, ParseAddressError> {
        parse(text).ok_or_else(|| ParseAddressError { text: text.to_owned() })
    }
}

fn parse(text: &str) -> Option<ListenAddress> {
    match text.split_once(':')? {
        ("unix", path) if !path.is_empty() => Some(ListenAddress::Unix(path.into())),
        ("tcp", rest) => {
            let (host, port) = rest.rsplit_once(':')?;
            let host = match host.strip_prefix('[') {
                Some(address) => address.strip_suffix(']')?,
                None if host.contains(':') => return None,
                None => host,
            };
            let port = port.parse().ok()?;
            (!host.is_empty()).then(|| ListenAddress::Tcp { host: host.to_owned(), port })
        }
        _ => None,
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
