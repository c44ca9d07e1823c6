//! From what the user typed to what the daemon runs with.
//!
//! The order is defaults < file < environment < flags. The environment's `HOTBAY_CONTROL` and `HOTBAY_STATE`
//! arrive with the flags, which the parser of the command line merges.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use hotbay_media::{ByteSize, MediumSpec};
use hotbay_server::ListenAddress;

use super::allow::Allowed;
use super::changer::{self, ChangerConfig};
use super::copies::{self, CopyOf};
use super::file::{ConfigFile, DefaultsTable, VolumeTable};
use super::hook::{self, HookConfig};
use super::places::Environment;
use super::tls::{self, TlsConfig};
use super::value::{
    AbsentReads, BayCount, BusyPoll, Description, JournalFull, Layout, Listen, Medium, Metrics,
    Name, VolumeFlag, check_socket_path,
};
use crate::failure::Failure;

/// The most volumes that one drive has.
const VOLUMES_MAX: usize = 128;
const MAX_CONNECTIONS: u32 = 1024;
const MAX_BYTES_IN_FLIGHT: u64 = 1 << 30;
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(30);
const BUSY_POLL: Duration = Duration::ZERO;
const ABSENT_WAIT: Duration = Duration::from_secs(30);
const IO_DEADLINE: Duration = Duration::from_secs(30);
const JOURNAL_LIMIT_BYTES: u64 = 1 << 30;
const RETAINED_LIMIT_BYTES: u64 = 64 << 20;
/// A loss must find room in the journal for all that is retained, with a header for each write.
const RETAINED_SHARE: u64 = 4;
const BUILT_IN_VOLUMES: [&str; 2] = ["a", "b"];
const BUILT_IN_SIZE: ByteSize = ByteSize(64 << 20);

/// What the command line and the environment say; each value wins over the file's.
#[derive(Clone, Debug, Default)]
pub(crate) struct Overrides {
    /// `--volume`: further volumes, or another medium for one of the file.
    pub(crate) volumes: Vec<VolumeFlag>,
    /// `--bays`.
    pub(crate) bays: Option<BayCount>,
    /// `--layout`.
    pub(crate) layout: Option<Layout>,
    /// `--listen`: where not empty, it replaces the file's list.
    pub(crate) listen: Vec<ListenAddress>,
    /// `--control` or `HOTBAY_CONTROL`.
    pub(crate) control: Option<PathBuf>,
    /// `--state` or `HOTBAY_STATE`.
    pub(crate) state: Option<PathBuf>,
    /// `--tls`: the directory of the files.
    pub(crate) tls: Option<PathBuf>,
    /// `--metrics`.
    pub(crate) metrics: Option<Metrics>,
    /// `--busy-poll`.
    pub(crate) busy_poll: Option<BusyPoll>,
}

/// What the daemon runs with. Each path is absolute.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    /// The drive's name.
    pub(crate) name: Name,
    /// How many media fit in the drive at once.
    pub(crate) bays: Bays,
    /// What loads media into bays; `None`: people do.
    pub(crate) changer: Option<ChangerConfig>,
    /// How the volumes become exports.
    pub(crate) layout: Layout,
    /// Where NBD clients connect; at least one, each once.
    pub(crate) listen: Vec<ListenAddress>,
    /// Whether NBD clients talk in TLS; `None`: they cannot.
    pub(crate) tls: Option<TlsConfig>,
    /// The socket for the other commands.
    pub(crate) control: PathBuf,
    /// The directory that survives a restart; on stable storage.
    pub(crate) state: PathBuf,
    /// Where metrics are served over HTTP.
    pub(crate) metrics: Metrics,
    /// How many NBD clients may be connected at once; 1 to 65536.
    pub(crate) max_connections: u32,
    /// How many bytes the requests of all sessions carry; 64 MiB to 1 TiB.
    pub(crate) max_bytes_in_flight: u64,
    /// Who may open a volume that does not say otherwise.
    pub(crate) allow: Vec<Allowed>,
    /// How long a client's handshake may take; 1 s to 5 min.
    pub(crate) handshake_timeout: Duration,
    /// How long a session spins before it sleeps; 0 to 50 µs.
    pub(crate) busy_poll: Duration,
    /// Commands for events; at most 16.
    pub(crate) hooks: Vec<HookConfig>,
    /// What holds for volumes that are added by command.
    defaults: DefaultsTable,
    /// The volumes, 1 to 128, with different names and different media; the first is the default export.
    pub(crate) volumes: Vec<VolumeConfig>,
}

/// How many bays there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bays {
    /// So many, 1 to 128, however many volumes there are.
    Fixed(u32),
    /// One for each volume.
    OneEach,
}

/// One volume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct VolumeConfig {
    /// Its name and that of its export.
    pub(crate) name: Name,
    /// The medium that it begins on; the one that it was on last is remembered in the state directory.
    pub(crate) medium: MediumSpec,
    /// What a read does that only the absent medium could answer.
    pub(crate) absent_reads: AbsentReads,
    /// How long any request waits, for the medium or for room in the journal; 100 ms to 1 h.
    pub(crate) absent_wait: Duration,
    /// How long the medium or the journal's disk may take to answer one I/O; 1 s to 1 h.
    pub(crate) io_deadline: Duration,
    /// How large the journal may grow on disk; at least four times `retained_limit_bytes`.
    pub(crate) journal_limit_bytes: u64,
    /// What a change does for which the journal has no room.
    pub(crate) journal_full: JournalFull,
    /// How many bytes of acknowledged writes are kept until the medium has synced.
    pub(crate) retained_limit_bytes: u64,
    /// Whether the medium is put back without anybody asking.
    pub(crate) auto_insert: AutoInsert,
    /// The mirror that it is a copy of, as one part of a disk.
    pub(crate) copy_of: Option<CopyOf>,
    /// Who may open it.
    pub(crate) allow: Vec<Allowed>,
    /// Whether clients can read it and no more.
    pub(crate) read_only: bool,
    /// Whether clients are told that it is a spinning disk.
    pub(crate) rotational: bool,
    /// What people read of it; may be empty.
    pub(crate) description: String,
}

/// Whether a medium that went away is put back without anybody asking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AutoInsert {
    /// When it can be found again and a bay is free.
    WhenItReturns,
    /// Only `insert` does it.
    Never,
}

/// Merges all that was said into what the daemon runs with.
///
/// # Errors
/// Where the parts contradict each other.
pub(crate) fn resolve(
    file: ConfigFile,
    overrides: Overrides,
    environment: &Environment,
) -> Result<Config, Failure> {
    let state = match overrides.state.or(file.state) {
        Some(directory) => environment.current.join(directory),
        None => environment.state()?,
    };
    let control = match overrides.control.or(file.control) {
        Some(path) => environment.current.join(path),
        None => environment.control(Some(&state))?,
    };
    let listen = match (overrides.listen, file.listen) {
        (given, _) if !given.is_empty() => given,
        (_, Some(given)) => given.into_iter().map(|Listen(address)| address).collect(),
        (_, None) => vec![ListenAddress::Unix(environment.run(Some(&state))?.join("nbd.sock"))],
    };
    refuse_equal_flags(&overrides.volumes)?;
    let allow = file.allow.unwrap_or_else(|| vec![Allowed::Everyone]);
    let mut volumes = volumes_of(file.volume, (file.defaults, &allow), overrides.volumes);
    if volumes.is_empty() {
        volumes = built_in_volumes(&state, (file.defaults, &allow));
    }
    for volume in &mut volumes {
        volume.medium = volume.medium.clone().absolute(&environment.current);
    }
    let bays = overrides.bays.or(file.bays).map(|BayCount { 0: bays }| bays);
    let config = Config {
        name: file.name.unwrap_or_else(|| "hotbay".parse().expect("the default is a name")),
        bays: bays.map_or(Bays::OneEach, Bays::Fixed),
        changer: changer::resolve(file.bay_command, file.bay_timeout, file.bay_minimum_stay)?,
        layout: overrides.layout.or(file.layout).unwrap_or(Layout::Volumes),
        listen: listen.into_iter().map(|address| address.absolute(&environment.current)).collect(),
        tls: tls::resolve(file.tls, overrides.tls, &environment.current),
        control,
        state,
        metrics: overrides.metrics.or(file.metrics).unwrap_or(Metrics::Off),
        max_connections: file.max_connections.map_or(MAX_CONNECTIONS, |count| count.0),
        max_bytes_in_flight: file.max_bytes_in_flight.map_or(MAX_BYTES_IN_FLIGHT, |size| size.0),
        allow,
        handshake_timeout: file.handshake_timeout.map_or(HANDSHAKE_TIMEOUT, |time| time.0),
        busy_poll: overrides.busy_poll.or(file.busy_poll).map_or(BUSY_POLL, |time| time.0),
        hooks: hook::resolve(file.hook)?,
        defaults: file.defaults,
        volumes,
    };
    check(&config)?;
    Ok(config)
}

/// A flag takes the place of the file's medium, but not of another flag's.
fn refuse_equal_flags(flags: &[VolumeFlag]) -> Result<(), Failure> {
    let mut names = BTreeSet::new();
    match flags.iter().find(|flag| !names.insert(&flag.name)) {
        None => Ok(()),
        Some(twin) => Err(Failure::new(format!("two --volume flags name {}", twin.name))
            .with_hint("give each volume a name of its own")),
    }
}

/// The volumes of the file, then those that only the flags name.
fn volumes_of(
    tables: Vec<VolumeTable>,
    defaults: (DefaultsTable, &[Allowed]),
    flags: Vec<VolumeFlag>,
) -> Vec<VolumeConfig> {
    let mut volumes: Vec<_> =
        tables.into_iter().map(|table| VolumeConfig::from_table(table, defaults)).collect();
    for VolumeFlag { name, medium } in flags {
        match volumes.iter_mut().find(|volume| volume.name == name) {
            Some(volume) => volume.medium = medium,
            None => volumes.push(VolumeConfig::with_defaults(name, medium, defaults)),
        }
    }
    volumes
}

/// What there is when nobody names a volume: two small ones, so that `hotbay serve` alone shows something.
fn built_in_volumes(
    state: &std::path::Path,
    defaults: (DefaultsTable, &[Allowed]),
) -> Vec<VolumeConfig> {
    let volume = |name: &str| {
        let path = state.join("media").join(format!("{name}.img"));
        let medium = MediumSpec::File { path, create: Some(BUILT_IN_SIZE) };
        let name = name.parse().expect("the name of a built-in volume is a name");
        VolumeConfig::with_defaults(name, medium, defaults)
    };
    BUILT_IN_VOLUMES.map(volume).into()
}

impl VolumeConfig {
    fn from_table(table: VolumeTable, (defaults, allow): (DefaultsTable, &[Allowed])) -> Self {
        let Medium(medium) = table.medium;
        let said = DefaultsTable {
            absent_reads: table.absent_reads.or(defaults.absent_reads),
            absent_wait: table.absent_wait.or(defaults.absent_wait),
            io_deadline: table.io_deadline.or(defaults.io_deadline),
            journal_limit: table.journal_limit.or(defaults.journal_limit),
            journal_full: table.journal_full.or(defaults.journal_full),
            retained_limit: table.retained_limit.or(defaults.retained_limit),
            auto_insert: table.auto_insert.or(defaults.auto_insert),
        };
        let volume = Self::with_defaults(table.name.into_inner(), medium, (said, allow));
        Self {
            copy_of: table
                .copy_of
                .and_then(|mirror| mirror.into_inner().0)
                .map(|mirror| CopyOf { mirror, place: table.copy_of_place }),
            allow: table.allow.unwrap_or(volume.allow),
            read_only: table.read_only.unwrap_or_default(),
            rotational: table.rotational.unwrap_or_default(),
            description: table.description.map(|Description(text)| text).unwrap_or_default(),
            ..volume
        }
    }

    fn with_defaults(
        name: Name,
        medium: MediumSpec,
        (said, allow): (DefaultsTable, &[Allowed]),
    ) -> Self {
        let journal_limit_bytes = said.journal_limit.map_or(JOURNAL_LIMIT_BYTES, |size| size.0);
        let retained_default = RETAINED_LIMIT_BYTES.min(journal_limit_bytes / RETAINED_SHARE);
        Self {
            name,
            medium,
            absent_reads: said.absent_reads.unwrap_or(AbsentReads::Wait),
            absent_wait: said.absent_wait.map_or(ABSENT_WAIT, |time| time.0),
            io_deadline: said.io_deadline.map_or(IO_DEADLINE, |time| time.0),
            journal_limit_bytes,
            journal_full: said.journal_full.unwrap_or(JournalFull::Wait),
            retained_limit_bytes: said.retained_limit.map_or(retained_default, |size| size.0),
            auto_insert: match said.auto_insert {
                None | Some(true) => AutoInsert::WhenItReturns,
                Some(false) => AutoInsert::Never,
            },
            copy_of: None,
            allow: allow.to_vec(),
            read_only: false,
            rotational: false,
            description: String::new(),
        }
    }
}

impl Config {
    /// How many media fit in the drive at once.
    pub(crate) fn bay_count(&self) -> usize {
        match self.bays {
            Bays::Fixed(bays) => usize::try_from(bays).unwrap_or(usize::MAX),
            Bays::OneEach => self.volumes.len(),
        }
    }

    /// A further volume, with the settings of one that says nothing of its own.
    pub(crate) fn volume_of_defaults(&self, name: Name, medium: MediumSpec) -> VolumeConfig {
        VolumeConfig::with_defaults(name, medium, (self.defaults, &self.allow))
    }

    /// Checks that the volumes get along with each other.
    ///
    /// # Errors
    /// Where two have the same medium, there are too many, or one contradicts itself.
    pub(crate) fn check_volumes(&self) -> Result<(), Failure> {
        check_volumes(&self.volumes)
    }
}

fn check(config: &Config) -> Result<(), Failure> {
    check_volumes(&config.volumes)?;
    copies::check(config.layout, &config.volumes)?;
    check_sockets(config)
}

fn check_volumes(volumes: &[VolumeConfig]) -> Result<(), Failure> {
    if volumes.len() > VOLUMES_MAX {
        let count = volumes.len();
        return Err(Failure::new(format!(
            "{count} volumes are too many; the limit is {VOLUMES_MAX}"
        ))
        .with_hint(
            "serve the others by another daemon, with a state directory and sockets of its own",
        ));
    }
    for (index, volume) in volumes.iter().enumerate() {
        let name = &volume.name;
        check_retained(volume)?;
        let twin =
            volumes.iter().take(index).find(|other| same_place(&other.medium, &volume.medium));
        if let Some(other) = twin {
            let (other, medium) = (&other.name, &volume.medium);
            return Err(Failure::new(format!(
                "volumes {other} and {name} have the same medium {medium}"
            ))
            .with_hint("two volumes on one medium would overwrite each other; give each its own"));
        }
    }
    Ok(())
}

fn check_retained(volume: &VolumeConfig) -> Result<(), Failure> {
    let (name, retained) = (&volume.name, volume.retained_limit_bytes);
    let allowed = volume.journal_limit_bytes / RETAINED_SHARE;
    if retained <= allowed {
        return Ok(());
    }
    let journal = ByteSize(volume.journal_limit_bytes);
    let (needed, retained, allowed) =
        (ByteSize(retained * RETAINED_SHARE), ByteSize(retained), ByteSize(allowed));
    Err(Failure::new(format!(
        "volume {name}: retained_limit {retained} is more than a quarter of journal_limit {journal}"
    ))
    .with_hint(format!(
        "set retained_limit to {allowed} or less, or journal_limit to {needed} or more"
    )))
}

/// Whether both are the same file or export by name. Links to one file are found when the media are inserted.
fn same_place(one: &MediumSpec, other: &MediumSpec) -> bool {
    match (one, other) {
        (MediumSpec::File { path: one, .. }, MediumSpec::File { path: other, .. }) => one == other,
        (MediumSpec::Disk(one), MediumSpec::Disk(other)) => one == other,
        (MediumSpec::Remote(one), MediumSpec::Remote(other)) => one == other,
        _ => false,
    }
}

fn check_sockets(config: &Config) -> Result<(), Failure> {
    if config.listen.is_empty() {
        return Err(Failure::new("listen is empty, so no client could connect").with_hint(
            "name an address, such as \"unix:/run/hotbay/nbd.sock\", or leave the key out",
        ));
    }
    check_socket_path(&config.control)
        .map_err(|error| Failure::new(error).with_hint("name another with --control PATH"))?;
    let control = ListenAddress::Unix(config.control.clone()).to_string();
    let mut taken = BTreeSet::from([control]);
    for address in &config.listen {
        if let ListenAddress::Unix(path) = address {
            check_socket_path(path).map_err(|error| {
                Failure::new(error).with_hint("name another with --listen unix:PATH")
            })?;
        }
        if !taken.insert(address.to_string()) {
            return Err(Failure::new(format!("the address {address} is used twice"))
                .with_hint("each listen address and the control socket differ from each other"));
        }
    }
    Ok(())
}
