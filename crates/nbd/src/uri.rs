//! Where an export is, as a URI: `nbd://HOST[:PORT]/EXPORT`, `nbd+unix:///EXPORT?socket=PATH`.
//!
//! Written after `doc/uri.md` of the NetworkBlockDevice project, whose sections are named below. TLS is not spoken,
//! so a URI that asks for it is refused, never served in clear.

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
}

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
    "`{text}` is no NBD URI: {why}; write nbd://HOST[:PORT]/EXPORT or nbd+unix:///EXPORT?socket=PATH"
)]
pub struct UriError {
    text: String,
    why: Why,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
enum Why {
    #[error("it begins neither with nbd:// nor with nbd+unix://")]
    Scheme,
    #[error("TLS is not supported")]
    Tls,
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
    let socket = socket_parameter(query)?;
    let server = match (scheme.to_ascii_lowercase().as_str(), socket) {
        ("nbd", None) => tcp(authority)?,
        ("nbd", Some(_)) => return Err(Why::Parameter(String::from("socket"))),
        ("nbd+unix", Some(path)) if authority.is_empty() => ServerPlace::Unix(path),
        ("nbd+unix", None) => return Err(Why::NoSocket),
        ("nbd+unix", Some(_)) => return Err(Why::Host),
        ("nbds" | "nbds+unix", _) => return Err(Why::Tls),
        _ => return Err(Why::Scheme),
    };
    Ok(NbdUri { server, export })
}

/// The one parameter that is understood; those that begin with `x-` are others' experiments.
fn socket_parameter(query: &str) -> Result<Option<PathBuf>, Why> {
    let mut socket = None;
    for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
        let (key, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        match key {
            "socket" => socket = Some(socket_path(value)?),
            key if key.starts_with("tls-") => return Err(Why::Tls),
            key if key.starts_with("x-") => {}
            key => return Err(Why::Parameter(key.to_owned())),
        }
    }
    Ok(socket)
}

fn socket_path(value: &str) -> Result<PathBuf, Why> {
    let bytes: Vec<u8> = percent_decode_str(value).collect();
    match bytes.as_slice() {
        [] => Err(Why::NoSocket),
        path if path.contains(&0) => Err(Why::Nul),
        _ => Ok(OsString::from_vec(bytes).into()),
    }
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
        match &self.server {
            ServerPlace::Unix(path) => {
                let path = percent_encode(path.as_os_str().as_encoded_bytes(), WRITTEN_AS_CODE);
                write!(f, "nbd+unix:///{export}?socket={path}")
            }
            ServerPlace::Tcp { host, port } => {
                let (open, close) = if host.contains(':') { ("[", "]") } else { ("", "") };
                let host = percent_encode(host.as_bytes(), WRITTEN_AS_CODE_IN_HOST);
                match port {
                    &DEFAULT_PORT => write!(f, "nbd://{open}{host}{close}/{export}"),
                    port => write!(f, "nbd://{open}{host}{close}:{port}/{export}"),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn tcp(host: &str, port: u16, export: &str) -> NbdUri {
        NbdUri { server: ServerPlace::Tcp { host: host.into(), port }, export: export.into() }
    }

    fn unix(path: &str, export: &str) -> NbdUri {
        NbdUri { server: ServerPlace::Unix(path.into()), export: export.into() }
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
            ("nbds://h/a", "TLS is not supported"),
            ("nbds+unix:///a?socket=/s", "TLS is not supported"),
            ("nbd://h/a?tls-type=psk", "TLS is not supported"),
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
            assert!(error.ends_with("socket=PATH"), "{error}");
        }
    }

    proptest! {
        #[test]
        fn a_uri_is_read_as_it_is_written(export in ".*", path in "[^\0]+", port in 1_u16.., host in "[a-z0-9.-]+|[0-9a-f:]*:[0-9a-f:]*") {
            for server in [ServerPlace::Unix(path.clone().into()), ServerPlace::Tcp { host, port }] {
                let uri = NbdUri { server, export: export.clone() };
                prop_assert_eq!(uri.to_string().parse(), Ok(uri));
            }
        }

        #[test]
        fn no_text_makes_it_panic(text in ".*", scheme in "|nbd://|nbd[+]unix://") {
            let _ = format!("{scheme}{text}").parse::<NbdUri>();
        }
    }
}
