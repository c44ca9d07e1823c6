//! Where an export is, as a URI: `nbd://HOST[:PORT]/EXPORT`, `nbd+unix:///EXPORT?socket=PATH`, and with `nbds` the same in TLS.
//!
//! Written after `doc/uri.md` of the NetworkBlockDevice project, whose sections are named below. Of TLS,
//! certificates are there and pre-shared keys are not: a URI that asks for those is refused. One parameter is our own, `connections`.

use std::ffi::OsString;
use std::fmt;
use std::os::unix::ffi::OsStringExt as _;
use std::path::PathBuf;
use std::str::FromStr;

use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, percent_encode};

/// The port of a URI that names none.
pub const DEFAULT_PORT: u16 = 10809;

/// What is written as it is: what RFC 3986 calls unreserved, and `/`.
const WRITTEN_AS_CODE: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'&')
    .add(b'+')
    .add(b'<')
    .add(b'=')
    .add(b'>')
    .add(b'?')
    .add(b'[')
    .add(b'\\')
    .add(b']')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

/// In a host, also what would end it. Its colons are put in brackets.
const WRITTEN_AS_CODE_IN_HOST: &AsciiSet = &WRITTEN_AS_CODE.add(b'/').add(b'@');

/// An export and the server that has it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct NbdUri {
    /// How the server is reached.
    pub server: ServerPlace,
    /// The export's name; empty for the server's default.
    pub export: String,
    /// How TLS is to be spoken, where it is: then nothing else is.
    pub tls: Option<UriTls>,
    /// How many connections are wanted, where the server can have several; 1 to [`CONNECTIONS_MAX`]. `None`: it is not said.
    pub connections: Option<u8>,
}

/// How TLS is to be spoken ("TLS parameters").
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct UriTls {
    /// The directory with `ca-cert.pem`, and with `client-cert.pem` and `client-key.pem` where the client has a certificate.
    pub certificates: Option<PathBuf>,
    /// The name that the server's certificate is to have; else the host, or `localhost` for a Unix socket.
    pub hostname: Option<String>,
    /// The server's certificate is looked at: without this, TLS keeps out those who listen, not those who pretend.
    pub verify_peer: bool,
}

/// The most connections that a URI may ask for.
pub const CONNECTIONS_MAX: u8 = 16;

/// How a server is reached.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ServerPlace {
    /// A Unix socket at this path.
    Unix(PathBuf),
    /// TCP.
    Tcp {
        /// A name or an address, without brackets.
        host: String,
        /// The port.
        port: u16,
    },
}

/// Why a text is no URI of an export. The message ends with what to write instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{text}` is no NBD URI: {why}; write nbd://HOST[:PORT]/EXPORT or nbd+unix:///EXPORT?socket=PATH, or nbds for TLS"
)]
pub struct UriError {
    text: String,
    why: Why,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
enum Why {
    #[error("it begins neither with nbd:// or nbds:// nor with nbd+unix:// or nbds+unix://")]
    Scheme,
    #[error("the parameter {0} is for nbds:// and nbds+unix:// alone")]
    NotTls(String),
    #[error("tls-verify-peer is true or false")]
    VerifyPeer,
    #[error("tls-certificates is the path of a directory")]
    Certificates,
    #[error("connections is a number from 1 to 16")]
    Connections,
    #[error("the host is missing")]
    NoHost,
    #[error("a Unix socket has no host, so there are three slashes")]
    Host,
    #[error("an IPv6 address stands in brackets, as in nbd://[::1]/EXPORT")]
    Brackets,
    #[error("the port is not a number from 1 to 65535")]
    Port,
    #[error("the parameter socket=PATH is missing")]
    NoSocket,
    #[error("the path of a Unix socket holds a NUL character")]
    Nul,
    #[error("the export's name is not UTF-8")]
    NotUnicode,
    #[error("the parameter {0} is not known")]
    Parameter(String),
    #[error("`#` is written %23")]
    Fragment,
}

impl FromStr for NbdUri {
    type Err = UriError;

    fn from_str(text: &str) -> Result<Self, UriError> {
        parse(text).map_err(|why| UriError { text: text.to_owned(), why })
    }
}

fn parse(text: &str) -> Result<NbdUri, Why> {
    let (scheme, rest) = text.split_once("://").ok_or(Why::Scheme)?;
    if rest.contains('#') {
        return Err(Why::Fragment);
    }
    let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (authority, path) = place.split_once('/').unwrap_or((place, ""));
    let export = percent_decode_str(path).decode_utf8().map_err(|_| Why::NotUnicode)?.into_owned();
    let scheme = scheme.to_ascii_lowercase();
    let is_tls = scheme.starts_with("nbds");
    let Parameters { socket, tls, connections } = Parameters::of(query, is_tls)?;
    let server = match (scheme.as_str(), socket) {
        ("nbd" | "nbds", None) => tcp(authority)?,
        ("nbd" | "nbds", Some(_)) => return Err(Why::Parameter(String::from("socket"))),
        ("nbd+unix" | "nbds+unix", Some(path)) if authority.is_empty() => ServerPlace::Unix(path),
        ("nbd+unix" | "nbds+unix", None) => return Err(Why::NoSocket),
        ("nbd+unix" | "nbds+unix", Some(_)) => return Err(Why::Host),
        _ => return Err(Why::Scheme),
    };
    Ok(NbdUri { server, export, tls: is_tls.then_some(tls), connections })
}

/// What stands behind the question mark.
struct Parameters {
    socket: Option<PathBuf>,
    tls: UriTls,
    connections: Option<u8>,
}

impl Parameters {
    /// Those that begin with `x-` are others' experiments.
    fn of(query: &str, is_tls: bool) -> Result<Self, Why> {
        let tls = UriTls { certificates: None, hostname: None, verify_peer: true };
        let mut all = Self { socket: None, tls, connections: None };
        for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
            let (key, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            match key {
                "socket" => all.socket = Some(path(value, Why::NoSocket)?),
                "connections" => all.connections = Some(connections(value)?),
                key if key.starts_with("x-") => {}
                key if key.starts_with("tls-") && !is_tls => {
                    return Err(Why::NotTls(key.to_owned()));
                }
                "tls-certificates" => {
                    all.tls.certificates = Some(path(value, Why::Certificates)?);
                }
                "tls-hostname" => all.tls.hostname = Some(text(value)?),
                "tls-verify-peer" => all.tls.verify_peer = truth(value)?,
                key => return Err(Why::Parameter(key.to_owned())),
            }
        }
        Ok(all)
    }
}

fn path(value: &str, missing: Why) -> Result<PathBuf, Why> {
    let bytes: Vec<u8> = percent_decode_str(value).collect();
    match bytes.as_slice() {
        [] => Err(missing),
        path if path.contains(&0) => Err(Why::Nul),
        _ => Ok(OsString::from_vec(bytes).into()),
    }
}

fn text(value: &str) -> Result<String, Why> {
    let text = percent_decode_str(value).decode_utf8().map_err(|_| Why::NotUnicode)?;
    if text.is_empty() { Err(Why::NoHost) } else { Ok(text.into_owned()) }
}

fn truth(value: &str) -> Result<bool, Why> {
    match value {
        "true" | "1" => Ok(true),
        "false" | "0" => Ok(false),
        _ => Err(Why::VerifyPeer),
    }
}

fn connections(value: &str) -> Result<u8, Why> {
    let number = value.parse().ok().filter(|number| (1..=CONNECTIONS_MAX).contains(number));
    number.ok_or(Why::Connections)
}

fn tcp(authority: &str) -> Result<ServerPlace, Why> {
    // The user is for TLS alone.
    let place = authority.rsplit_once('@').map_or(authority, |(_, place)| place);
    let (host, port) = match place.strip_prefix('[') {
        Some(bracketed) => bracketed.split_once(']').ok_or(Why::Brackets)?,
        None => place.find(':').map_or((place, ""), |colon| place.split_at(colon)),
    };
    let port = match port.strip_prefix(':') {
        None if port.is_empty() => DEFAULT_PORT,
        None => return Err(Why::Brackets),
        Some("") => DEFAULT_PORT,
        Some(digits) if digits.contains(':') => return Err(Why::Brackets),
        Some(digits) => match digits.parse() {
            Ok(0) | Err(_) => return Err(Why::Port),
            Ok(port) => port,
        },
    };
    let host = percent_decode_str(host).decode_utf8().map_err(|_| Why::NotUnicode)?.into_owned();
    if host.is_empty() { Err(Why::NoHost) } else { Ok(ServerPlace::Tcp { host, port }) }
}

impl fmt::Display for NbdUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let export = percent_encode(self.export.as_bytes(), WRITTEN_AS_CODE);
        let scheme = if self.tls.is_some() { "nbds" } else { "nbd" };
        let mut separator = '?';
        match &self.server {
            ServerPlace::Unix(path) => {
                let path = percent_encode(path.as_os_str().as_encoded_bytes(), WRITTEN_AS_CODE);
                write!(f, "{scheme}+unix:///{export}?socket={path}")?;
                separator = '&';
            }
            ServerPlace::Tcp { host, port } => {
                let (open, close) = if host.contains(':') { ("[", "]") } else { ("", "") };
                let host = percent_encode(host.as_bytes(), WRITTEN_AS_CODE_IN_HOST);
                match port {
                    &DEFAULT_PORT => write!(f, "{scheme}://{open}{host}{close}/{export}")?,
                    port => write!(f, "{scheme}://{open}{host}{close}:{port}/{export}")?,
                }
            }
        }
        for (key, value) in self.parameters() {
            let value = percent_encode(&value, WRITTEN_AS_CODE);
            write!(f, "{separator}{key}={value}")?;
            separator = '&';
        }
        Ok(())
    }
}

impl NbdUri {
    /// The same export, whichever way it is spoken to: in the clear and over as many connections as it may be.
    #[must_use]
    pub fn place(&self) -> Self {
        Self { tls: None, connections: None, ..self.clone() }
    }

    /// Those of its parameters that are not as they would be without being written, but for `socket`.
    fn parameters(&self) -> Vec<(&'static str, Vec<u8>)> {
        let mut written = Vec::new();
        if let Some(UriTls { certificates, hostname, verify_peer }) = &self.tls {
            if let Some(path) = certificates {
                written.push(("tls-certificates", path.as_os_str().as_encoded_bytes().to_vec()));
            }
            if let Some(name) = hostname {
                written.push(("tls-hostname", name.clone().into_bytes()));
            }
            if !verify_peer {
                written.push(("tls-verify-peer", b"false".to_vec()));
            }
        }
        if let Some(connections) = self.connections {
            written.push(("connections", connections.to_string().into_bytes()));
        }
        written
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn plain(server: ServerPlace, export: &str) -> NbdUri {
        NbdUri { server, export: export.into(), tls: None, connections: None }
    }

    fn tcp(host: &str, port: u16, export: &str) -> NbdUri {
        plain(ServerPlace::Tcp { host: host.into(), port }, export)
    }

    fn unix(path: &str, export: &str) -> NbdUri {
        plain(ServerPlace::Unix(path.into()), export)
    }

    const TLS: UriTls = UriTls { certificates: None, hostname: None, verify_peer: true };

    #[test]
    fn what_is_asked_for_beyond_the_place() {
        let certificates = Some("/etc/pki/a b".into());
        let hostname = Some("disk.example".to_owned());
        let all = UriTls { certificates, hostname, verify_peer: false };
        for (text, uri) in [
            ("nbds://h/a", NbdUri { tls: Some(TLS), ..tcp("h", 10809, "a") }),
            ("nbds+unix:///?socket=/s", NbdUri { tls: Some(TLS), ..unix("/s", "") }),
            ("nbds://h/?tls-verify-peer=1", NbdUri { tls: Some(TLS), ..tcp("h", 10809, "") }),
            (
                "nbds://h/?connections=4&tls-verify-peer=false&tls-hostname=disk.example&tls-certificates=/etc/pki/a%20b",
                NbdUri { tls: Some(all), connections: Some(4), ..tcp("h", 10809, "") },
            ),
            (
                "nbd+unix:///?connections=16&socket=/s",
                NbdUri { connections: Some(16), ..unix("/s", "") },
            ),
        ] {
            assert_eq!(text.parse().as_ref(), Ok(&uri), "{text}");
            assert_eq!(uri.to_string().parse(), Ok(uri.clone()), "{text}");
            assert_eq!(uri.place(), plain(uri.server, &uri.export));
        }
    }

    #[test]
    fn the_examples_of_the_document() {
        for (text, uri) in [
            ("nbd://example.com:10809/export", tcp("example.com", 10809, "export")),
            ("nbd+unix:///export?socket=nbd.sock", unix("nbd.sock", "export")),
            ("nbd://example.com/disk", tcp("example.com", 10809, "disk")),
            ("nbd+unix:///disk?socket=sock", unix("sock", "disk")),
            ("nbd://example.com/", tcp("example.com", 10809, "")),
            ("nbd://example.com", tcp("example.com", 10809, "")),
            ("nbd://example.com//disk", tcp("example.com", 10809, "/disk")),
            ("nbd://example.com/hello%20world", tcp("example.com", 10809, "hello world")),
            ("nbd://user@[::1]:7/a", tcp("::1", 7, "a")),
            ("NBD://h:/a", tcp("h", 10809, "a")),
            ("nbd+unix:///?socket=/run/a%26b&x-mine=1", unix("/run/a&b", "")),
            ("nbd+unix://?socket=/s", unix("/s", "")),
        ] {
            assert_eq!(text.parse(), Ok(uri), "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, says) in [
            ("", "begins neither"),
            ("/run/nbd.sock", "begins neither"),
            ("http://h/a", "begins neither"),
            ("nbds:///a", "the host is missing"),
            ("nbds+unix:///a", "socket=PATH is missing"),
            ("nbdsx://h/a", "begins neither"),
            ("nbd://h/a?tls-certificates=/c", "tls-certificates is for nbds://"),
            ("nbds://h/a?tls-psk-file=/k", "tls-psk-file is not known"),
            ("nbds://h/a?tls-certificates=", "the path of a directory"),
            ("nbds://h/a?tls-hostname=", "the host is missing"),
            ("nbds://h/a?tls-verify-peer=perhaps", "true or false"),
            ("nbd://h/a?connections=0", "from 1 to 16"),
            ("nbd://h/a?connections=17", "from 1 to 16"),
            ("nbd:///a", "the host is missing"),
            ("nbd://:1/a", "the host is missing"),
            ("nbd://::1/a", "brackets"),
            ("nbd://[::1/a", "brackets"),
            ("nbd://[::1]x/a", "brackets"),
            ("nbd://h:0/a", "the port"),
            ("nbd://h:70000/a", "the port"),
            ("nbd://h/a?socket=/s", "socket is not known"),
            ("nbd://h/a?colour=red", "colour is not known"),
            ("nbd://h/%ff", "not UTF-8"),
            ("nbd://h/a#b", "%23"),
            ("nbd+unix:///a", "socket=PATH is missing"),
            ("nbd+unix:///a?socket=", "socket=PATH is missing"),
            ("nbd+unix://h/a?socket=/s", "three slashes"),
            ("nbd+unix:///a?socket=%00/abstract", "NUL"),
        ] {
            let error = text.parse::<NbdUri>().expect_err(text).to_string();
            assert!(error.contains(says), "{text}: {error}");
            assert!(error.ends_with("or nbds for TLS"), "{error}");
        }
    }

    proptest! {
        #[test]
        fn a_uri_is_read_as_it_is_written(export in ".*", path in "[^\0]+", port in 1_u16.., host in "[a-z0-9.-]+|[0-9a-f:]*:[0-9a-f:]*") {
            for server in [ServerPlace::Unix(path.clone().into()), ServerPlace::Tcp { host, port }] {
                let uri = plain(server, &export);
                prop_assert_eq!(uri.to_string().parse(), Ok(uri));
            }
        }

        #[test]
        fn no_text_makes_it_panic(text in ".*", scheme in "|nbd://|nbds://|nbds?[+]unix://") {
            let _ = format!("{scheme}{text}").parse::<NbdUri>();
        }
    }
}
