//! How a medium is named: the MEDIUM of the command line and of the configuration.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use hotbay_nbd::uri::{NbdUri, ServerPlace, UriError, UriTls};

use crate::disk_name::DiskName;
use crate::size::{ByteSize, SizeError};

/// Where a medium is to be found: `PATH`, `file:PATH[?create=64MiB]`, `wwn:NAME`, `serial:NUMBER`, `mem:64MiB`,
/// `nbd://HOST[:PORT]/EXPORT` or `nbd+unix:///EXPORT?socket=PATH`.
///
/// `Display` gives the canonical form, with the scheme, which reads back as the same value.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum MediumSpec {
    /// A regular file or a block device.
    File {
        /// Its path, as given or [absolute](MediumSpec::absolute).
        path: PathBuf,
        /// Where no file is there, one of this size is created; never 0.
        create: Option<ByteSize>,
    },
    /// The block device that says this of itself, under whatever name it is there.
    Disk(DiskName),
    /// Memory of the daemon, kept as long as it runs.
    Memory {
        /// Its size; never 0.
        size: ByteSize,
    },
    /// An export of another server.
    Remote(NbdUri),
}

/// Why a word does not name a medium.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SpecError {
    /// A kind of medium that is planned and not there.
    #[error("{scheme}: media are not supported yet by this version: `{word}`")]
    NotYet {
        /// Its scheme, such as `nbd`.
        scheme: String,
        /// The word as it was given.
        word: String,
    },
    /// A scheme that does not exist.
    #[error(
        "`{0}` is no kind of medium; write PATH, file:PATH, wwn:NAME, serial:NUMBER, mem:SIZE or nbd://HOST/EXPORT"
    )]
    UnknownScheme(String),
    /// There is no path, or one that no file can have.
    #[error("`{0}` names no file")]
    NoPath(String),
    /// There is no name of a disk, or one that no disk can have.
    #[error(
        "`{0}` names no disk; write wwn:NAME or serial:NUMBER as `lsblk -o NAME,WWN,SERIAL` shows them"
    )]
    NoDisk(String),
    /// A `file:` address on another machine.
    #[error("`{0}` names a file on another machine; write file:PATH or file:///PATH")]
    OtherHost(String),
    /// An option that does not exist.
    #[error("`{0}` is no option of a file; the only one is ?create=SIZE")]
    UnknownOption(String),
    /// A size that is not one.
    #[error(transparent)]
    Size(#[from] SizeError),
    /// An address of a server that is not one.
    #[error(transparent)]
    Remote(#[from] UriError),
    /// A size of 0.
    #[error("`{0}` has no bytes; a medium has at least one")]
    Empty(String),
}

const LATER_SCHEMES: [&str; 1] = ["s3"];
const DISK_SCHEMES: [&str; 2] = ["wwn:", "serial:"];
const REMOTE_SCHEMES: [&str; 4] = ["nbd", "nbd+unix", "nbds", "nbds+unix"];

impl MediumSpec {
    /// It, with a relative path taken from the directory `base`, which is absolute itself.
    #[must_use]
    pub fn absolute(self, base: &Path) -> Self {
        match self {
            Self::File { path, create } => {
                let joined = base.join(path);
                let path = std::path::absolute(&joined).unwrap_or(joined);
                Self::File { path, create }
            }
            Self::Remote(mut uri) => {
                if let ServerPlace::Unix(path) = &mut uri.server {
                    *path = base.join(&*path);
                }
                if let Some(UriTls { certificates: Some(directory), .. }) = &mut uri.tls {
                    *directory = base.join(&*directory);
                }
                Self::Remote(uri)
            }
            other @ (Self::Disk(_) | Self::Memory { .. }) => other,
        }
    }
}

impl FromStr for MediumSpec {
    type Err = SpecError;

    fn from_str(word: &str) -> Result<Self, SpecError> {
        if let Some((scheme, _)) = word.split_once("://").filter(|(scheme, _)| is_scheme(scheme)) {
            if LATER_SCHEMES.contains(&scheme) {
                return Err(SpecError::NotYet { scheme: scheme.into(), word: word.into() });
            }
            if REMOTE_SCHEMES.contains(&scheme) {
                return Ok(Self::Remote(word.parse()?));
            }
            if scheme != "file" {
                return Err(SpecError::UnknownScheme(word.into()));
            }
        }
        if let Some(size) = word.strip_prefix("mem:") {
            return Ok(Self::Memory { size: size_above_zero(size, word)? });
        }
        if DISK_SCHEMES.iter().any(|scheme| word.starts_with(scheme)) {
            return Ok(Self::Disk(word.parse()?));
        }
        parse_file(word)
    }
}

fn is_scheme(word: &str) -> bool {
    !word.is_empty() && word.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
}

fn size_above_zero(size: &str, word: &str) -> Result<ByteSize, SpecError> {
    match size.parse()? {
        ByteSize(0) => Err(SpecError::Empty(word.into())),
        size => Ok(size),
    }
}

/// A `?` without a `=` behind it belongs to the path.
fn parse_file(word: &str) -> Result<MediumSpec, SpecError> {
    let rest = word.strip_prefix("file:").unwrap_or(word);
    let (path, create) = match rest.rsplit_once('?') {
        Some((path, option)) if option.contains('=') => {
            let size = option
                .strip_prefix("create=")
                .ok_or_else(|| SpecError::UnknownOption(option.into()))?;
            (path, Some(size_above_zero(size, word)?))
        }
        _ => (rest, None),
    };
    let path = match path.strip_prefix("//") {
        Some(host_and_path) if word.starts_with("file:") => {
            if !host_and_path.starts_with('/') {
                return Err(SpecError::OtherHost(word.into()));
            }
            host_and_path
        }
        _ => path,
    };
    if path.is_empty() || path.contains('\0') {
        return Err(SpecError::NoPath(word.into()));
    }
    Ok(MediumSpec::File { path: path.into(), create })
}

impl fmt::Display for MediumSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, create } => {
                // A path that begins with two slashes would read back as a host.
                let extra =
                    if path.as_os_str().as_encoded_bytes().starts_with(b"//") { "//" } else { "" };
                write!(f, "file:{extra}{}", path.display())?;
                create.map_or(Ok(()), |size| write!(f, "?create={size}"))
            }
            Self::Disk(name) => name.fmt(f),
            Self::Memory { size } => write!(f, "mem:{size}"),
            Self::Remote(uri) => uri.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn file(path: &str, create: Option<u64>) -> MediumSpec {
        MediumSpec::File { path: path.into(), create: create.map(ByteSize) }
    }

    #[test]
    fn words_are_read_and_written() {
        for (word, spec, canonical) in [
            ("/dev/sdb", file("/dev/sdb", None), "file:/dev/sdb"),
            ("disk.img", file("disk.img", None), "file:disk.img"),
            ("file:/srv/a.img", file("/srv/a.img", None), "file:/srv/a.img"),
            ("file:///srv/a.img", file("/srv/a.img", None), "file:/srv/a.img"),
            ("file:a.img?create=64MiB", file("a.img", Some(64 << 20)), "file:a.img?create=64MiB"),
            ("a.img?create=1024", file("a.img", Some(1024)), "file:a.img?create=1KiB"),
            ("what?.img", file("what?.img", None), "file:what?.img"),
            ("a:b/c.img", file("a:b/c.img", None), "file:a:b/c.img"),
            ("mem:64MiB", MediumSpec::Memory { size: ByteSize(64 << 20) }, "mem:64MiB"),
            ("mem:65536KiB", MediumSpec::Memory { size: ByteSize(64 << 20) }, "mem:64MiB"),
        ] {
            let parsed: MediumSpec = word.parse().unwrap();
            assert_eq!((&parsed, parsed.to_string().as_str()), (&spec, canonical), "{word}");
        }
    }

    #[test]
    fn disks_are_media_by_what_they_say_of_themselves() {
        for (word, canonical) in [
            ("wwn:naa.5000C500A1B2C3D4", "wwn:0x5000c500a1b2c3d4"),
            ("serial:4C53-part1", "serial:4C53-part1"),
        ] {
            let parsed: MediumSpec = word.parse().unwrap();
            assert!(matches!(parsed, MediumSpec::Disk(_)), "{word}");
            assert_eq!(parsed.absolute(Path::new("/srv")).to_string(), canonical);
        }
    }

    #[test]
    fn exports_of_other_servers_are_media() {
        for (word, canonical) in [
            ("nbd://host:10809/disk", "nbd://host/disk"),
            ("nbd://host", "nbd://host/"),
            ("nbd+unix:///disk?socket=/run/s", "nbd+unix:///disk?socket=/run/s"),
        ] {
            let parsed: MediumSpec = word.parse().unwrap();
            assert!(matches!(parsed, MediumSpec::Remote(_)), "{word}");
            assert_eq!(parsed.to_string(), canonical);
        }
    }

    #[test]
    fn other_words_are_refused_with_a_reason() {
        for (word, reason) in [
            ("", "names no file"),
            ("file:", "names no file"),
            ("file:?create=1MiB", "names no file"),
            ("a\0b", "names no file"),
            ("file://host/a.img", "another machine"),
            ("file:a.img?size=1MiB", "`size=1MiB` is no option"),
            ("file:a.img?create=1MB", "write 1MiB"),
            ("file:a.img?create=0", "at least one"),
            ("mem:", "not a size"),
            ("mem:0", "at least one"),
            ("mem:64M", "write 64MiB"),
            ("wwn:", "names no disk"),
            ("serial: -part1", "names no disk"),
            ("nbd:///disk", "the host is missing"),
            ("nbds://host/disk?tls-psk-file=/k", "tls-psk-file is not known"),
            ("nbd+unix:///disk", "socket=PATH is missing"),
            ("s3://bucket/prefix", "s3: media are not supported yet by this version"),
            ("http://host/a.img", "no kind of medium"),
        ] {
            let message = word.parse::<MediumSpec>().unwrap_err().to_string();
            assert!(message.contains(reason), "{word}: {message}");
        }
    }

    #[test]
    fn relative_paths_are_taken_from_the_base() {
        let absolute = |word: &str| {
            word.parse::<MediumSpec>().unwrap().absolute(Path::new("/srv/media")).to_string()
        };
        assert_eq!(absolute("a.img?create=1KiB"), "file:/srv/media/a.img?create=1KiB");
        assert_eq!(absolute("./b/../a.img"), "file:/srv/media/b/../a.img");
        assert_eq!(absolute("/dev/sdb"), "file:/dev/sdb");
        assert_eq!(absolute("mem:1KiB"), "mem:1KiB");
        assert_eq!(absolute("nbd+unix:///a?socket=s"), "nbd+unix:///a?socket=/srv/media/s");
        assert_eq!(absolute("nbd://h/a"), "nbd://h/a");
        let certificates = "nbds://h/a?tls-certificates=";
        assert_eq!(absolute(&format!("{certificates}c")), format!("{certificates}/srv/media/c"));
    }

    proptest! {
        #[test]
        fn the_canonical_form_reads_back(word in "(file:)?[a-c/?=:.]{0,12}([?]create=[1-9]KiB)?") {
            if let Ok(spec) = word.parse::<MediumSpec>() {
                prop_assert_eq!(spec.to_string().parse::<MediumSpec>(), Ok(spec));
            }
        }

        #[test]
        fn no_word_makes_it_panic(word in any::<String>()) {
            let _ = word.parse::<MediumSpec>();
        }
    }
}
