//! The values that a configuration is made of, each read from text and checked where it is read.
//!
//! A value that is out of bounds is refused by its type, so that the error carries the place in the file.

use std::fmt;
use std::marker::PhantomData;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use hotbay_media::{ByteSize, MediumSpec};
use hotbay_server::ListenAddress;
use serde::de::{Deserialize, Deserializer, Error, Visitor};

/// The longest path that fits the address of a Unix socket, in bytes.
const SOCKET_PATH_BYTES_MAX: usize = 107;

/// Something that is read from text in a configuration.
trait Text: FromStr<Err: fmt::Display> {
    /// What a person is to write, for the message about a value of another type.
    const EXPECTED: &'static str;
}

struct TextVisitor<T>(PhantomData<T>);

impl<T: Text> Visitor<'_> for TextVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(T::EXPECTED)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(E::custom)
    }
}

/// Reads each of the types from text, in a file as on the command line.
macro_rules! deserialize_text {
    ($($type:ty: $expected:literal),* $(,)?) => {$(
        impl Text for $type {
            const EXPECTED: &'static str = $expected;
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_str(TextVisitor(PhantomData))
            }
        }
    )*};
}

deserialize_text! {
    super::allow::Allowed: "who may, in quotes, such as \"everyone\", \"user:1000\" or \"certificate:laptop\"",
    BusyPoll: "a duration in quotes, such as \"50us\"",
    Description: "a text in quotes",
    super::copies::MirrorName: "the name of a mirror in quotes, such as \"data\"",
    super::hook::Event: "an event in quotes, such as \"lost\"",
    Name: "a name in quotes, such as \"usb\"",
    Layout: "a layout in quotes, such as \"volumes\"",
    Listen: "an address in quotes, such as \"unix:/run/hotbay/nbd.sock\"",
    Medium: "a medium in quotes, such as \"file:/srv/usb.img\"",
    Metrics: "a port or an address in quotes, such as \"9750\" or \"127.0.0.1:9750\"",
}

/// The name of a drive or a volume: 1 to 64 of `A-Z a-z 0-9 . _ -`, the first of them a letter, digit or `_`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Name(String);

impl Name {
    const LENGTH_MAX: usize = 64;
}

impl FromStr for Name {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.is_empty() || text.len() > Self::LENGTH_MAX {
            return Err(format!("a name has 1 to 64 characters, this one has {}", text.len()));
        }
        if let Some(wrong) =
            text.chars().find(|c| !c.is_ascii_alphanumeric() && !"._-".contains(*c))
        {
            return Err(format!(
                "`{text}` is no name because of `{wrong}`; write A-Z a-z 0-9 . _ -"
            ));
        }
        if text.starts_with(['.', '-']) {
            return Err(format!(
                "`{text}` is no name; the first character is a letter, a digit or _"
            ));
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What people read of a volume: one line, up to 1024 bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Description(pub(super) String);

impl Description {
    const BYTES_MAX: usize = 1024;
}

impl FromStr for Description {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.len() > Self::BYTES_MAX {
            return Err(format!(
                "a description has at most 1024 bytes, this one has {}",
                text.len()
            ));
        }
        if text.chars().any(char::is_control) {
            return Err("a description is one line, without control characters".to_owned());
        }
        Ok(Self(text.to_owned()))
    }
}

/// How the volumes become exports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Layout {
    /// Each volume is an export of its own, under its name.
    Volumes,
    /// One export, named as the drive, on which each volume is a partition.
    Partitions,
    /// One export, named as the drive, on which the volumes lie one after the other.
    Linear,
    /// One export, named as the drive, of which each volume is a copy.
    Mirror,
}

impl Layout {
    const ALL: [(Self, &'static str); 4] = [
        (Self::Volumes, "volumes"),
        (Self::Partitions, "partitions"),
        (Self::Linear, "linear"),
        (Self::Mirror, "mirror"),
    ];
}

impl FromStr for Layout {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = Self::ALL.iter().find(|(_, name)| *name == text);
        known.map(|(layout, _)| *layout).ok_or_else(|| {
            format!("`{text}` is no layout; write {}", Self::ALL.map(|(_, name)| name).join(", "))
        })
    }
}

impl fmt::Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = Self::ALL.iter().find(|(layout, _)| layout == self).map(|(_, name)| *name);
        f.write_str(name.unwrap_or_default())
    }
}

/// An address as a file gives it.
#[derive(Clone, Debug)]
pub(super) struct Listen(pub(super) ListenAddress);

impl FromStr for Listen {
    type Err = hotbay_server::ParseAddressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

/// Where metrics are served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Metrics {
    /// Nowhere.
    Off,
    /// At an address of TCP. A port of 0 leaves its choice to the system.
    At(SocketAddr),
}

impl FromStr for Metrics {
    type Err = String;

    /// A port alone is one of this machine alone: who lets others look has to say so.
    fn from_str(text: &str) -> Result<Self, String> {
        if text == "off" {
            return Ok(Self::Off);
        }
        if let Ok(port) = text.parse::<u16>() {
            return Ok(Self::At((Ipv4Addr::LOCALHOST, port).into()));
        }
        text.parse().map(Self::At).map_err(|_| {
            format!(
                "`{text}` is no address for metrics; write a port, which is for this machine alone, or an IP address \
                 and a port, such as 9750, 127.0.0.1:9750 or [::1]:9750, or off"
            )
        })
    }
}

impl fmt::Display for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => f.write_str("off"),
            Self::At(address) => address.fmt(f),
        }
    }
}

/// Refuses a path that the address of a Unix socket cannot hold.
pub(super) fn check_socket_path(path: &Path) -> Result<(), String> {
    let length = path.as_os_str().len();
    if length > SOCKET_PATH_BYTES_MAX {
        let path = path.display();
        return Err(format!(
            "{path} has {length} bytes; the path of a socket has at most {SOCKET_PATH_BYTES_MAX}"
        ));
    }
    Ok(())
}

/// A medium as a file names it.
#[derive(Clone, Debug)]
pub(super) struct Medium(pub(super) MediumSpec);

impl FromStr for Medium {
    type Err = hotbay_media::SpecError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

/// `NAME=MEDIUM`, as the command line gives a volume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct VolumeFlag {
    /// The volume's name.
    pub(crate) name: Name,
    /// Its medium, with a path as it was typed.
    pub(crate) medium: MediumSpec,
}

impl FromStr for VolumeFlag {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, medium) =
            text.split_once('=').ok_or("write NAME=MEDIUM, such as usb=file:/srv/usb.img")?;
        let medium = medium.parse().map_err(|error: hotbay_media::SpecError| error.to_string())?;
        Ok(Self { name: name.parse()?, medium })
    }
}

/// A number of bytes within bounds, both of them allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bytes<const MIN: u64, const MAX: u64>(pub(super) u64);

impl<const MIN: u64, const MAX: u64> FromStr for Bytes<MIN, MAX> {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let ByteSize(bytes) =
            text.parse().map_err(|error: hotbay_media::SizeError| error.to_string())?;
        if !(MIN..=MAX).contains(&bytes) {
            let (min, max) = (ByteSize(MIN), ByteSize(MAX));
            return Err(format!("`{text}` is out of bounds; write a size from {min} to {max}"));
        }
        Ok(Self(bytes))
    }
}

impl<const MIN: u64, const MAX: u64> Text for Bytes<MIN, MAX> {
    const EXPECTED: &'static str = "a size in quotes, such as \"64MiB\"";
}

impl<'de, const MIN: u64, const MAX: u64> Deserialize<'de> for Bytes<MIN, MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(TextVisitor(PhantomData))
    }
}

/// A duration within bounds in milliseconds, both of them allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Time<const MIN_MS: u64, const MAX_MS: u64>(pub(super) Duration);

impl<const MIN_MS: u64, const MAX_MS: u64> FromStr for Time<MIN_MS, MAX_MS> {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let duration = parse_duration(text)?;
        let (min, max) = (Duration::from_millis(MIN_MS), Duration::from_millis(MAX_MS));
        if !(min..=max).contains(&duration) {
            let (min, max) = (format_duration(min), format_duration(max));
            return Err(format!("`{text}` is out of bounds; write a duration from {min} to {max}"));
        }
        Ok(Self(duration))
    }
}

impl<const MIN_MS: u64, const MAX_MS: u64> Text for Time<MIN_MS, MAX_MS> {
    const EXPECTED: &'static str = "a duration in quotes, such as \"30s\"";
}

impl<'de, const MIN_MS: u64, const MAX_MS: u64> Deserialize<'de> for Time<MIN_MS, MAX_MS> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(TextVisitor(PhantomData))
    }
}

/// How long a session looks for the next request before it sleeps: up to [`BusyPoll::MOST`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BusyPoll(pub(crate) Duration);

impl BusyPoll {
    /// No client takes longer that could be answered faster for it.
    const MOST: Duration = Duration::from_micros(50);
}

impl FromStr for BusyPoll {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let duration = parse_duration(text)?;
        if duration > Self::MOST {
            let most = format_duration(Self::MOST);
            return Err(format!("`{text}` is out of bounds; write a duration from 0s to {most}"));
        }
        Ok(Self(duration))
    }
}

/// A duration as people write it: `500ms`, `30s`, `5m`, `1h`, `1h 30m`.
///
/// # Errors
/// With what to write instead.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text).map_err(|_| {
        format!("`{text}` is not a duration; write a number and a unit, such as 500ms, 30s, 5m")
    })
}

/// The reverse of [`parse_duration`].
pub(crate) fn format_duration(duration: Duration) -> String {
    humantime::format_duration(duration).to_string().replace(' ', "")
}

/// A whole number within bounds, both of them allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Count<const MIN: u32, const MAX: u32>(pub(crate) u32);

impl<const MIN: u32, const MAX: u32> Count<MIN, MAX> {
    fn new(number: i64) -> Result<Self, String> {
        match u32::try_from(number) {
            Ok(count) if (MIN..=MAX).contains(&count) => Ok(Self(count)),
            _ => Err(format!("{number} is out of bounds; write a number from {MIN} to {MAX}")),
        }
    }
}

impl<const MIN: u32, const MAX: u32> FromStr for Count<MIN, MAX> {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = text
            .parse()
            .map_err(|_| format!("`{text}` is no number; write one from {MIN} to {MAX}"))?;
        Self::new(number)
    }
}

impl<'de, const MIN: u32, const MAX: u32> Deserialize<'de> for Count<MIN, MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(i64::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

/// A number of bays.
pub(crate) type BayCount = Count<1, 128>;

/// What a change does for which the journal has no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum JournalFull {
    /// It waits for room, up to the volume's `absent_wait`, then fails with ENOSPC.
    Wait,
    /// It fails with ENOSPC at once.
    Error,
}

/// What a read does that only the absent medium could answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum AbsentReads {
    /// It waits for the medium, up to the volume's `absent_wait`, then fails with EIO.
    Wait,
    /// It fails with EIO at once.
    Error,
}
