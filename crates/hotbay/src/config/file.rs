//! The configuration file as the user typed it: TOML, each key optional but a volume's name and medium.
//!
//! Defaults are not known here: see [`resolve`](super::resolve::resolve). A key that does not exist is refused.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use toml::Spanned;

use super::allow::Allowed;
use super::changer::{BayMinimumStay, BayTimeout};
use super::complaint;
use super::copies::MirrorName;
use super::hook::HookTable;
use super::tls::TlsTable;
use super::value::{
    AbsentReads, BayCount, BusyPoll, Bytes, Count, Description, JournalFull, Layout, Listen,
    Medium, Metrics, Name, Time,
};
use crate::failure::Failure;

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
const SECOND_MS: u64 = 1000;
const HOUR_MS: u64 = 3600 * SECOND_MS;

/// The largest file that is read, in bytes: far more than 128 volumes need.
const FILE_BYTES_MAX: u64 = MIB;

/// The size of a journal. A larger limit than any disk has is a typing error.
pub(super) type JournalLimit = Bytes<{ 16 * MIB }, { 1 << 50 }>;
/// The size of what is retained, which is memory.
pub(super) type RetainedLimit = Bytes<MIB, GIB>;
/// How long a read waits. Kernels and people lose patience before an hour is over.
pub(super) type AbsentWait = Time<100, HOUR_MS>;
/// How long a disk may take to answer. Below a second a healthy one would be taken for hung.
pub(super) type IoDeadline = Time<SECOND_MS, HOUR_MS>;
/// How long a client may take to say what it wants.
pub(super) type HandshakeTimeout = Time<SECOND_MS, { 300 * SECOND_MS }>;
/// What requests may carry together. Below the longest request sessions would take turns.
pub(super) type BytesInFlight = Bytes<{ 64 * MIB }, { 1 << 40 }>;
/// How many clients there may be at once.
pub(super) type ConnectionCount = Count<1, 65536>;

/// Reads a file that is not too large to have been written by a person.
///
/// # Errors
/// Where it cannot be read, or is larger than that.
pub(crate) fn read_text(path: &Path) -> Result<String, Failure> {
    let shown = path.display();
    let cannot = |error: std::io::Error| {
        let failure = Failure::new(format!("cannot read {shown}: {error}"));
        match error.kind() {
            std::io::ErrorKind::NotFound => failure.with_hint("name a file that is there"),
            _ => failure.with_hint_if_denied(&error, "read it as its owner, or as root"),
        }
    };
    let mut text = String::new();
    let file = File::open(path).map_err(cannot)?;
    let bytes = file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text).map_err(cannot)?;
    if bytes as u64 > FILE_BYTES_MAX {
        return Err(Failure::new(format!(
            "{shown} is larger than 1MiB, so it is no configuration"
        ))
        .with_hint("a medium is named with --volume NAME=PATH"));
    }
    Ok(text)
}

/// The whole file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ConfigFile {
    /// The drive's name, for people; default `hotbay`.
    pub(super) name: Option<Name>,
    /// How many media fit in the drive at once, 1 to 128; default: one bay for each volume.
    pub(super) bays: Option<BayCount>,
    /// A command that loads and unloads media, where bays are fewer than volumes; default: none.
    pub(super) bay_command: Option<Vec<String>>,
    /// How long that command may take before it is killed, 1s to 1h; default `2m`.
    pub(super) bay_timeout: Option<BayTimeout>,
    /// How long a medium stays at least that it has loaded, while another volume waits, 0s to 1h; default `10s`.
    pub(super) bay_minimum_stay: Option<BayMinimumStay>,
    /// How the volumes become exports; default `volumes`.
    pub(super) layout: Option<Layout>,
    /// Where NBD clients connect, at least one address; default `unix:` and `nbd.sock` in the run directory.
    pub(super) listen: Option<Vec<Listen>>,
    /// The socket for the other commands; default `control.sock` in the run directory.
    pub(super) control: Option<PathBuf>,
    /// The directory of journals, on stable storage; default `/var/lib/hotbay` or the XDG state directory.
    pub(super) state: Option<PathBuf>,
    /// Where metrics are served over HTTP: `off`, a port of this machine, or `IP:PORT`; default `off`.
    pub(super) metrics: Option<Metrics>,
    /// How many NBD clients may be connected at once, 1 to 65536; default 1024.
    pub(super) max_connections: Option<ConnectionCount>,
    /// How long a client's handshake may take, 1s to 5m; default `30s`.
    pub(super) handshake_timeout: Option<HandshakeTimeout>,
    /// How long a session spins before it sleeps, 0s to 50us; default `0s`: not at all.
    pub(super) busy_poll: Option<BusyPoll>,
    /// How many bytes the requests of all sessions carry, 64MiB to 1TiB; default `1GiB`.
    pub(super) max_bytes_in_flight: Option<BytesInFlight>,
    /// Who may open the volumes that do not say otherwise; default everyone.
    pub(super) allow: Option<Vec<Allowed>>,
    /// Whether NBD clients talk in TLS.
    #[serde(default)]
    pub(super) tls: TlsTable,
    /// What holds for each volume that does not say otherwise.
    #[serde(default)]
    pub(super) defaults: DefaultsTable,
    /// Commands for events, at most 16.
    #[serde(default)]
    pub(super) hook: Vec<HookTable>,
    /// The volumes, in order; the first is the default export.
    #[serde(default)]
    pub(super) volume: Vec<VolumeTable>,
}

/// `[defaults]`: the keys of a volume but for its name and medium.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DefaultsTable {
    /// See [`VolumeTable::absent_reads`].
    pub(super) absent_reads: Option<AbsentReads>,
    /// See [`VolumeTable::absent_wait`].
    pub(super) absent_wait: Option<AbsentWait>,
    /// See [`VolumeTable::io_deadline`].
    pub(super) io_deadline: Option<IoDeadline>,
    /// See [`VolumeTable::journal_limit`].
    pub(super) journal_limit: Option<JournalLimit>,
    /// See [`VolumeTable::journal_full`].
    pub(super) journal_full: Option<JournalFull>,
    /// See [`VolumeTable::retained_limit`].
    pub(super) retained_limit: Option<RetainedLimit>,
    /// See [`VolumeTable::auto_insert`].
    pub(super) auto_insert: Option<bool>,
}

/// `[[volume]]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct VolumeTable {
    /// Its name and that of its export, 1 to 64 characters, unique.
    pub(super) name: Spanned<Name>,
    /// Its medium: `PATH`, `file:PATH[?create=SIZE]` or `mem:SIZE`.
    pub(super) medium: Medium,
    /// What a read does that only the absent medium could answer: `wait` or `error`; default `wait`.
    pub(super) absent_reads: Option<AbsentReads>,
    /// How long any request waits, for the medium or for room, before it fails; 100ms to 1h; default `30s`.
    pub(super) absent_wait: Option<AbsentWait>,
    /// How long the medium or the journal's disk may take to answer one I/O, 1s to 1h; default `30s`.
    pub(super) io_deadline: Option<IoDeadline>,
    /// How large the journal may grow on disk, 16MiB to 1PiB; default `1GiB`.
    pub(super) journal_limit: Option<JournalLimit>,
    /// What a write does when the journal is full: `wait` or `error`; default `wait`.
    pub(super) journal_full: Option<JournalFull>,
    /// How many bytes of acknowledged writes are kept until the medium has synced, 1MiB to 1GiB and at most a
    /// quarter of `journal_limit`; default `64MiB`, or that quarter.
    pub(super) retained_limit: Option<RetainedLimit>,
    /// Whether a medium that went away is put back by itself when it returns; default `true`.
    pub(super) auto_insert: Option<bool>,
    /// The mirror that it is a copy of, where that is one part of a disk; default `""`: none.
    pub(super) copy_of: Option<Spanned<MirrorName>>,
    /// Where in the file that stands; not a key.
    #[serde(skip)]
    pub(super) copy_of_place: String,
    /// Who may open it; default: who the drive's `allow` says.
    pub(super) allow: Option<Vec<Allowed>>,
    /// Whether clients can read it and no more; default `false`.
    pub(super) read_only: Option<bool>,
    /// Whether clients are told that it is a spinning disk; default `false`.
    pub(super) rotational: Option<bool>,
    /// What people read in a list of exports, up to 1024 characters; default nothing.
    pub(super) description: Option<Description>,
}

impl ConfigFile {
    /// Reads and parses a file.
    ///
    /// # Errors
    /// Where it cannot be read, or says something wrong: then with line and column.
    pub(crate) fn read(path: &Path) -> Result<Self, Failure> {
        Self::parse(&read_text(path)?, &path.display().to_string())
    }

    /// One that says nothing but what holds for each volume.
    pub(crate) fn of_defaults(defaults: DefaultsTable) -> Self {
        Self { defaults, ..Self::default() }
    }

    /// Parses the text of the file `file`, whose name is for the messages.
    ///
    /// # Errors
    /// Where it says something wrong, with line and column.
    pub(crate) fn parse(text: &str, file: &str) -> Result<Self, Failure> {
        let needs = "a volume has a name and a medium, a hook a command; see config/reference.toml";
        let source = complaint::Source { file, text, needs };
        let mut parsed: Self = toml::from_str(text).map_err(|error| source.about(&error))?;
        parsed.tls.note_places(source);
        for volume in &mut parsed.volume {
            let place = volume.copy_of.as_ref().map(|mirror| source.place(mirror.span()));
            volume.copy_of_place = place.unwrap_or_default();
        }
        parsed.refuse_equal_names(source)?;
        Ok(parsed)
    }

    fn refuse_equal_names(&self, source: complaint::Source<'_>) -> Result<(), Failure> {
        let names: Vec<_> = self.volume.iter().map(|volume| &volume.name).collect();
        for (index, name) in names.iter().enumerate() {
            if let Some(first) =
                names.iter().take(index).find(|other| other.as_ref() == name.as_ref())
            {
                let line = source.line_and_column(first.span().start).0;
                let message = format!("the volume of line {line} is named `{}` too", name.as_ref());
                return Err(source
                    .at(name.span(), &message)
                    .with_hint("give each volume a name of its own"));
            }
        }
        Ok(())
    }
}
