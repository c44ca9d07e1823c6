//! From a configuration to the parts of a daemon: the one place that knows every crate.

use std::str::FromStr as _;
use std::sync::Arc;

use hotbay_block::{BoxFuture, Error, ErrorKind, Medium};
use hotbay_drive::{
    AbsentReads, AutoInsert, Drive, DriveSettings, JournalFull, MediumSource, Retention,
    VolumeSettings, VolumeSetup,
};
use hotbay_journal::FileStorage;
use hotbay_media::{MediumSpec, Shelf};
use hotbay_server::Limits;

use crate::config::{self, Config, VolumeConfig};
use crate::directory::create_private;
use crate::failure::Failure;
use crate::records::StateDirectory;

/// How long sessions may take to finish when the daemon is stopped. A request that waits for its medium is not
/// answered then: its client may ask again when the daemon is back.
const STOP_DEADLINE: std::time::Duration = std::time::Duration::from_secs(3);

/// Starts the drive where it was left, with media from this shelf.
///
/// # Errors
/// Where the state directory is unreadable, or a volume cannot be started.
pub(crate) async fn drive(
    config: &Config,
    state: &Arc<StateDirectory>,
    shelf: &Arc<Shelf>,
) -> Result<Arc<Drive>, Failure> {
    let setups = config.volumes.iter().map(|volume| setup(volume, config, state));
    let setups = setups.collect::<Result<Vec<_>, _>>()?;
    tell_differences(config, state, &setups);
    let settings = DriveSettings {
        name: config.name.to_string(),
        bays: config.bay_count(),
        source: Arc::new(MediaShelf(Arc::clone(shelf))),
        records: Arc::clone(state) as _,
    };
    Ok(Arc::new(Drive::start(settings, setups).await?))
}

/// What a volume is started from. Its journal is locked from now on.
///
/// # Errors
/// Where the state directory is unreadable.
pub(crate) fn setup(
    volume: &VolumeConfig,
    config: &Config,
    state: &StateDirectory,
) -> Result<VolumeSetup, Failure> {
    let name = volume.name.to_string();
    if let MediumSpec::File { path, create: Some(_) } = &volume.medium
        && let Some(directory) =
            path.parent().filter(|directory| directory.starts_with(&config.state))
    {
        create_private(directory).map_err(|error| {
            Failure::new(format!("cannot create {}: {error}", directory.display()))
        })?;
    }
    let place = state.journal(&name).and_then(FileStorage::open).map_err(|error| {
        Failure::new(format!("cannot open the journal of volume {name}: {error}"))
            .with_hint("the state directory must be writable, and on stable storage")
    })?;
    Ok(VolumeSetup {
        settings: settings(volume),
        record: state.record(&name)?,
        journal: Arc::new(place),
    })
}

/// Tells where the state directory and the configuration differ, which nobody should find out by surprise.
fn tell_differences(config: &Config, state: &StateDirectory, setups: &[VolumeSetup]) {
    for setup in setups {
        let VolumeSettings { name, medium: configured, .. } = &setup.settings;
        if let Some(last) = &setup.record.medium
            && !is_the_same(last, configured)
        {
            tracing::warn!(
                volume = name,
                "the volume stays on {last}, where it was last, though the configuration names {configured}; \
                 'hotbay swap {name} {configured}' copies it there, with --as-is it takes what is there"
            );
        }
    }
    let names: Vec<&str> = setups.iter().map(|setup| setup.settings.name.as_str()).collect();
    match state.others(&names) {
        Ok(others) => others.iter().for_each(|other| {
            let path = config.state.join("volumes").join(other);
            tracing::warn!(
                path = %path.display(),
                "volume {other} is not in the configuration; what is kept of it, its journal too, is left as it is"
            );
        }),
        Err(error) => tracing::warn!(%error, "cannot look through the state directory"),
    }
}

/// Whether both name one medium: the size at which a file is created is no part of its name.
pub(crate) fn is_the_same(one: &str, other: &str) -> bool {
    match (one.parse(), other.parse()) {
        (Ok(MediumSpec::File { path: one, .. }), Ok(MediumSpec::File { path: other, .. })) => {
            one == other
        }
        _ => one == other,
    }
}

/// What was chosen for a volume.
pub(crate) fn settings(volume: &VolumeConfig) -> VolumeSettings {
    VolumeSettings {
        absent_reads: match volume.absent_reads {
            config::AbsentReads::Wait => AbsentReads::Wait,
            config::AbsentReads::Error => AbsentReads::Error,
        },
        absent_wait: volume.absent_wait,
        io_deadline: volume.io_deadline,
        journal_limit_bytes: volume.journal_limit_bytes,
        journal_full: match volume.journal_full {
            config::JournalFull::Wait => JournalFull::Wait,
            config::JournalFull::Error => JournalFull::Error,
        },
        retained_limit_bytes: volume.retained_limit_bytes,
        auto_insert: match volume.auto_insert {
            config::AutoInsert::WhenItReturns => AutoInsert::WhenItReturns,
            config::AutoInsert::Never => AutoInsert::Never,
        },
        retention: Retention::On,
        ..VolumeSettings::new(volume.name.to_string(), volume.medium.to_string())
    }
}

/// The bounds of the server.
pub(crate) fn limits(config: &Config) -> Limits {
    Limits {
        connections: usize::try_from(config.max_connections).unwrap_or(usize::MAX),
        bytes_in_all: usize::try_from(config.max_bytes_in_flight).unwrap_or(usize::MAX),
        handshake_deadline: config.handshake_timeout,
        stop_deadline: STOP_DEADLINE,
        busy_poll: config.busy_poll,
        ..Limits::default()
    }
}

/// The media of this machine, as the drive asks for them.
struct MediaShelf(Arc<Shelf>);

fn spec(medium: &str) -> Result<MediumSpec, Error> {
    MediumSpec::from_str(medium).map_err(|error| {
        Error::new(ErrorKind::Invalid, format!("{medium} names no medium")).caused_by(error)
    })
}

impl MediumSource for MediaShelf {
    fn open<'a>(
        &'a self,
        medium: &'a str,
        volume: &'a str,
    ) -> BoxFuture<'a, hotbay_block::Result<Arc<dyn Medium>>> {
        match spec(medium) {
            Ok(spec) => self.0.open(&spec, volume),
            Err(error) => Box::pin(std::future::ready(Err(error))),
        }
    }

    fn is_there(&self, medium: &str, volume: &str) -> bool {
        spec(medium).is_ok_and(|spec| self.0.contains(&spec, volume))
    }
}
