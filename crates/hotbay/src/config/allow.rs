//! Who may open an export.

use std::fmt;
use std::str::FromStr;

use hotbay_server::Peer;

/// Clients that may open an export.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Allowed {
    /// Whoever reaches a socket.
    Everyone,
    /// This user of this machine, on a Unix socket.
    User(u32),
    /// Whoever has shown a certificate with this name in it, in TLS.
    Certificate(String),
}

impl Allowed {
    /// Whether it lets the client in.
    pub(crate) fn lets_in(&self, peer: &Peer) -> bool {
        match self {
            Self::Everyone => true,
            Self::User(user) => peer.user == Some(*user),
            Self::Certificate(name) => peer.certificate_names.contains(name),
        }
    }
}

impl FromStr for Allowed {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = |why: &str| {
            format!(
                "`{text}` allows nobody: {why}; write everyone, user:NUMBER or certificate:NAME"
            )
        };
        match text.split_once(':') {
            _ if text == "everyone" => Ok(Self::Everyone),
            Some(("user", number)) => number
                .parse()
                .map(Self::User)
                .map_err(|_| wrong("a user is a number, as `id -u NAME` tells it")),
            Some(("certificate", "")) => Err(wrong("the name is missing")),
            Some(("certificate", name)) => Ok(Self::Certificate(name.to_owned())),
            _ => Err(wrong("it is neither a user nor a certificate")),
        }
    }
}

impl fmt::Display for Allowed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Everyone => f.write_str("everyone"),
            Self::User(user) => write!(f, "user:{user}"),
            Self::Certificate(name) => write!(f, "certificate:{name}"),
        }
    }
}
