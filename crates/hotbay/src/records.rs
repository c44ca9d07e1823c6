//! The state directory: what outlives the daemon, besides the media.
//!
//! ```text
//! STATE/lock                    held while a daemon uses the directory
//! STATE/volumes.json            which volumes were added and removed by command
//! STATE/volumes/NAME/record.json   what is remembered of a volume, written whole
//! STATE/volumes/NAME/journal/      its journal
//! ```
//! All of it is readable to its user alone.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use hotbay_block::{Extent, Identity};
use hotbay_drive::{Records, VolumeRecord, Witness, WitnessBlock};
use hotbay_journal::{FileStorage, Verdict, salvage, scan};
use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::directory::{create_private, write_whole};
use crate::failure::Failure;
use crate::nearest::nearest;

const VOLUMES: &str = "volumes";
const RECORD: &str = "record.json";
const JOURNAL: &str = "journal";

/// The version of the record's layout. One that is newer is refused.
const RECORD_FORMAT: u32 = 1;

/// Where a volume's journal is, for those who only look.
pub(crate) fn journal_directory(state: &Path, volume: &str) -> PathBuf {
    volume_directory(state, volume).join(JOURNAL)
}

/// The volumes that a state directory knows, sorted, for those who only look.
///
/// # Errors
/// Where there is no such directory, or it cannot be read.
pub(crate) fn volumes(state: &Path) -> Result<Vec<String>, Failure> {
    let directory = state.join(VOLUMES);
    let read = names_in(&directory, |name| volume_directory(state, name).join(RECORD).exists());
    read.map_err(|error| {
        Failure::new(format!("cannot read the state directory {}: {error}", state.display()))
            .with_hint("name the daemon's with --state DIR, and read it as the daemon's user")
    })
}

/// What hardware the volumes of a state directory were on last, as it says of itself, each with its volume; for those who only
/// look. A record that cannot be read knows none.
///
/// # Errors
/// Where there is no such directory, or it cannot be read.
pub(crate) fn disks(state: &Path) -> Result<Vec<(String, String)>, Failure> {
    let hardware = |volume: &str| {
        let text = fs::read(volume_directory(state, volume).join(RECORD)).ok()?;
        serde_json::from_slice::<StoredRecord>(&text).ok()?.identity?.hardware
    };
    let volumes = volumes(state)?.into_iter();
    Ok(volumes.filter_map(|volume| hardware(&volume).map(|disk| (volume, disk))).collect())
}

/// Says whether a state directory knows a volume.
///
/// # Errors
/// Where it does not; the hint tells the one that is probably meant.
pub(crate) fn check_volume(state: &Path, volume: &str) -> Result<(), Failure> {
    let known = volumes(state)?;
    if known.iter().any(|name| name == volume) {
        return Ok(());
    }
    let failure = Failure::new(format!("{} knows no volume {volume}", state.display()));
    Err(match nearest(volume, known.iter().map(String::as_str)) {
        Some(meant) => failure.with_hint(format!("did you mean {meant}?")),
        None if known.is_empty() => {
            failure.with_hint("it knows none; name another with --state DIR")
        }
        None => failure.with_hint(format!("it knows {}", known.join(", "))),
    })
}

/// The identity of a volume, which its journal carries, for those who only look; `None` where its record cannot be read.
pub(crate) fn identity(state: &Path, volume: &str) -> Option<Uuid> {
    /// The part of a record that is looked at.
    #[derive(Deserialize)]
    struct RecordIdentity {
        id: Uuid,
    }
    let text = fs::read(volume_directory(state, volume).join(RECORD)).ok()?;
    let record: RecordIdentity = serde_json::from_slice(&text).ok()?;
    Some(record.id)
}

/// The volume that has an identity, where the state directory knows one.
pub(crate) fn volume_of(state: &Path, id: Uuid) -> Option<String> {
    volumes(state).ok()?.into_iter().find(|volume| identity(state, volume) == Some(id))
}

fn volume_directory(state: &Path, volume: &str) -> PathBuf {
    state.join(VOLUMES).join(volume)
}

/// The names in a directory that fit, sorted.
fn names_in(directory: &Path, fits: impl Fn(&str) -> bool) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(directory)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if fits(&name) {
            names.push(name);
        }
    }
    names.sort_unstable();
    Ok(names)
}

/// A state directory that is held by this process, until this is dropped.
#[derive(Debug)]
pub(crate) struct StateDirectory {
    path: PathBuf,
    _lock: File,
}

/// The part of a record that every version can read.
#[derive(Deserialize)]
struct RecordVersion {
    format: u32,
}

/// A volume's record as it is written.
#[derive(Serialize, Deserialize)]
struct StoredRecord {
    format: u32,
    id: Uuid,
    #[serde(default)]
    content: u64,
    size_bytes: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    grows_to: Option<u64>,
    medium: Option<String>,
    in_bay: bool,
    identity: Option<StoredIdentity>,
    identity_unsettled: bool,
    /// Blocks by which the medium is recognised as unchanged: offset, length, CRC-32C.
    #[serde(default)]
    witness: Vec<(u64, u64, u32)>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    given_up: Vec<StoredIdentity>,
    #[serde(default)]
    conflict: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    parted: Option<String>,
    #[serde(default)]
    discards_journal: bool,
}

#[derive(Serialize, Deserialize)]
struct StoredIdentity {
    size_bytes: u64,
    content: Vec<String>,
    hardware: Option<String>,
    file: Option<String>,
    location: String,
}

impl StateDirectory {
    /// Takes the directory, which is created where it is missing.
    ///
    /// # Errors
    /// Where another daemon holds it, or the file system refuses.
    pub(crate) fn take(path: &Path) -> Result<Self, Failure> {
        let cannot = |error: io::Error| {
            Failure::new(format!("cannot use the state directory {}: {error}", path.display()))
                .with_hint("name another one with --state DIR")
                .with_hint_if_denied(
                    &error,
                    "run the daemon as the directory's owner, or name another one with --state DIR",
                )
        };
        create_private(path).map_err(cannot)?;
        let mut private = OpenOptions::new();
        private.write(true).create(true).mode(0o600);
        let lock = private.open(path.join("lock")).map_err(cannot)?;
        if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
            let path = path.display();
            return Err(Failure::new(format!("another daemon uses the state directory {path}"))
                .with_hint("stop that one first, or name another directory with --state DIR"));
        }
        Ok(Self { path: path.to_owned(), _lock: lock })
    }

    /// Where a volume's journal is. The directory around it is created.
    ///
    /// # Errors
    /// Those of the file system.
    pub(crate) fn journal(&self, volume: &str) -> io::Result<PathBuf> {
        let directory = self.volume(volume);
        create_private(&directory)?;
        Ok(directory.join(JOURNAL))
    }

    /// What is remembered of a volume, or a fresh record with a new identity.
    ///
    /// # Errors
    /// Where there is a record that cannot be read. Nothing is guessed: its journal would be lost.
    pub(crate) fn record(&self, volume: &str) -> Result<VolumeRecord, Failure> {
        let path = self.volume(volume).join(RECORD);
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(VolumeRecord::new(volume, *Uuid::new_v4().as_bytes()));
            }
            Err(error) => return Err(cannot_read(&path, &error)),
        };
        let version: RecordVersion =
            serde_json::from_slice(&text).map_err(|error| self.damaged(volume, &error))?;
        if version.format > RECORD_FORMAT {
            let format = version.format;
            return Err(cannot_read(&path, &format!("its format {format} is not known here"))
                .with_hint("a newer hotbay wrote it; serve it with that one"));
        }
        let stored: StoredRecord =
            serde_json::from_slice(&text).map_err(|error| self.damaged(volume, &error))?;
        Ok(stored.into_record(volume))
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Where all is that is kept of a volume.
    pub(crate) fn of_volume(&self, volume: &str) -> PathBuf {
        self.volume(volume)
    }

    /// Makes ready for a volume that is to be added, of which something may be kept: where that is of another medium than
    /// `is_the_same` knows, and holds nothing, it is removed. Whether something is kept.
    ///
    /// # Errors
    /// Where it is of another medium, and that has not everything; where it cannot be read.
    pub(crate) fn resume_or_begin_anew(
        &self,
        volume: &str,
        is_the_same: impl FnOnce(&str) -> bool,
    ) -> Result<bool, Failure> {
        let directory = self.volume(volume);
        if !directory.join(RECORD).exists() {
            return Ok(false);
        }
        match self.record(volume)?.medium {
            Some(last) if !is_the_same(&last) => {
                if !self.has_empty_journal(volume)? {
                    let directory = directory.display();
                    return Err(Failure::new(format!(
                        "there was a volume {volume} on {last}, whose journal holds what that has not"
                    ))
                    .with_hint(format!(
                        "'hotbay volume add {volume}={last}' goes on with it; to begin anew move {directory} away"
                    )));
                }
                self.forget(volume).map_err(|error| cannot_read(&directory, &error))?;
                Ok(false)
            }
            _ => Ok(true),
        }
    }

    /// Whether the journal of a volume, which is not in use, holds nothing.
    fn has_empty_journal(&self, volume: &str) -> Result<bool, Failure> {
        let path = self.volume(volume).join(JOURNAL);
        let storage = match FileStorage::open_to_read(&path) {
            Ok(storage) => storage,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
            Err(error) => return Err(cannot_read(&path, &error)),
        };
        let report = scan(&storage, None).map_err(|error| cannot_read(&path, &error))?;
        let extents = salvage(&storage, &report).map_err(|error| cannot_read(&path, &error))?;
        Ok(extents.is_empty() && !matches!(report.verdict, Verdict::Damaged(_)))
    }

    /// Removes all that is kept of a volume: its journal before its record, so that what a crash leaves is what it was, or
    /// nothing.
    ///
    /// # Errors
    /// Those of the file system.
    pub(crate) fn forget(&self, volume: &str) -> io::Result<()> {
        let directory = self.volume(volume);
        remove_if_there(fs::remove_dir_all(directory.join(JOURNAL)))?;
        remove_if_there(fs::remove_file(directory.join(RECORD)))?;
        remove_if_there(fs::remove_dir_all(&directory))?;
        File::open(self.path.join(VOLUMES))?.sync_all()
    }

    /// The volumes that have a record, sorted, though they are not among `configured`.
    ///
    /// # Errors
    /// Those of the file system.
    pub(crate) fn others(&self, configured: &[&str]) -> io::Result<Vec<String>> {
        names_in(&self.path.join(VOLUMES), |name| {
            !configured.contains(&name) && self.volume(name).join(RECORD).exists()
        })
    }

    fn damaged(&self, volume: &str, error: &serde_json::Error) -> Failure {
        let directory = self.volume(volume);
        cannot_read(&directory.join(RECORD), error).with_hint(format!(
            "the journal beside it is kept: put a copy of the record back; or give up what the journal holds, and begin \
             anew, by moving {} away",
            directory.display()
        ))
    }

    fn volume(&self, volume: &str) -> PathBuf {
        volume_directory(&self.path, volume)
    }
}

impl Records for StateDirectory {
    fn save(&self, record: &VolumeRecord) -> io::Result<()> {
        let directory = self.volume(&record.name);
        create_private(&directory)?;
        write_whole(&directory, RECORD, &serde_json::to_vec_pretty(&StoredRecord::from(record))?)
    }
}

fn remove_if_there(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

fn cannot_read(path: &Path, error: &dyn std::fmt::Display) -> Failure {
    Failure::new(format!("cannot read {}: {error}", path.display()))
}

impl From<Identity> for StoredIdentity {
    fn from(identity: Identity) -> Self {
        let Identity { size_bytes, content, hardware, file, location } = identity;
        Self { size_bytes, content, hardware, file, location }
    }
}

impl From<StoredIdentity> for Identity {
    fn from(stored: StoredIdentity) -> Self {
        let StoredIdentity { size_bytes, content, hardware, file, location } = stored;
        Self { size_bytes, content, hardware, file, location }
    }
}

impl From<&VolumeRecord> for StoredRecord {
    fn from(record: &VolumeRecord) -> Self {
        let stored = |identity: &Identity| StoredIdentity::from(identity.clone());
        Self {
            format: RECORD_FORMAT,
            id: Uuid::from_bytes(record.id),
            content: record.content,
            size_bytes: record.size_bytes,
            grows_to: record.grows_to,
            medium: record.medium.clone(),
            in_bay: record.in_bay,
            identity: record.identity.as_ref().map(stored),
            identity_unsettled: record.identity_unsettled,
            witness: record.witness.blocks().iter().map(stored_block).collect(),
            given_up: record.given_up.iter().map(stored).collect(),
            conflict: record.conflict.clone(),
            parted: record.parted.clone(),
            discards_journal: record.discards_journal,
        }
    }
}

const fn stored_block(block: &WitnessBlock) -> (u64, u64, u32) {
    (block.extent.offset(), block.extent.length(), block.checksum)
}

/// `None` for a block that no medium has.
fn read_block((offset, length, checksum): (u64, u64, u32)) -> Option<WitnessBlock> {
    let extent = Extent::new(offset, length).filter(|extent| !extent.is_empty())?;
    Some(WitnessBlock { extent, checksum })
}

impl StoredRecord {
    fn into_record(self, name: &str) -> VolumeRecord {
        VolumeRecord {
            name: name.to_owned(),
            id: *self.id.as_bytes(),
            content: self.content,
            size_bytes: self.size_bytes,
            grows_to: self.grows_to,
            medium: self.medium,
            in_bay: self.in_bay,
            identity: self.identity.map(Identity::from),
            identity_unsettled: self.identity_unsettled,
            witness: self.witness.into_iter().filter_map(read_block).collect::<Witness>(),
            given_up: self.given_up.into_iter().map(Identity::from).collect(),
            conflict: self.conflict,
            parted: self.parted,
            discards_journal: self.discards_journal,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_record_of_a_newer_version_is_told_from_a_damaged_one() {
        let place = tempfile::tempdir().unwrap();
        let state = StateDirectory::take(place.path()).unwrap();
        let refusal = |text: &str| {
            fs::write(state.journal("usb").unwrap().with_file_name(RECORD), text).unwrap();
            state.record("usb").unwrap_err()
        };
        let newer = refusal("{\"format\":9,\"new\":1}");
        assert!(newer.message().ends_with("its format 9 is not known here"), "{newer}");
        let torn = refusal("{\"format\":1,");
        let directory = place.path().join("volumes/usb");
        let last = format!("by moving {} away", directory.display());
        assert!(torn.hint().unwrap().ends_with(&last), "{torn}");
    }

    #[test]
    fn volumes_that_are_not_configured_are_found() {
        let place = tempfile::tempdir().unwrap();
        let state = StateDirectory::take(place.path()).unwrap();
        for name in ["usb", "work", "old"] {
            state.save(&VolumeRecord::new(name, [7; 16])).unwrap();
        }
        state.journal("never-begun").unwrap();
        assert_eq!(state.others(&["usb"]).unwrap(), ["old", "work"]);
    }

    #[test]
    fn disks_are_told_of_the_volumes_that_have_one() {
        let place = tempfile::tempdir().unwrap();
        let state = StateDirectory::take(place.path()).unwrap();
        for (name, hardware) in [("usb", Some("usb:0781:5567:4C53")), ("image", None)] {
            let hardware = hardware.map(str::to_owned);
            let identity = Some(Identity { hardware, ..Identity::default() });
            state.save(&VolumeRecord { identity, ..VolumeRecord::new(name, [7; 16]) }).unwrap();
        }
        state.save(&VolumeRecord::new("fresh", [7; 16])).unwrap();
        fs::write(state.journal("torn").unwrap().with_file_name(RECORD), "{").unwrap();
        let usb = ("usb".to_owned(), "usb:0781:5567:4C53".to_owned());
        assert_eq!(disks(place.path()).unwrap(), [usb]);
        assert!(disks(&place.path().join("none")).is_err());
    }

    #[test]
    fn a_record_is_read_as_it_was_saved() {
        let place = tempfile::tempdir().unwrap();
        let state = StateDirectory::take(&place.path().join("state")).unwrap();
        let fresh = state.record("usb").unwrap();
        assert_eq!((fresh.size_bytes, fresh.medium.as_deref()), (0, None));
        let identity = Identity { content: vec!["ext:1".to_owned()], ..Identity::default() };
        let record = VolumeRecord {
            content: 3,
            size_bytes: 1 << 20,
            medium: Some("file:/a".to_owned()),
            in_bay: true,
            identity: Some(identity),
            witness: [WitnessBlock { extent: Extent::between(0, 512), checksum: 7 }]
                .into_iter()
                .collect(),
            given_up: vec![Identity { location: "/lost".to_owned(), ..Identity::default() }],
            conflict: Some("file:/b".to_owned()),
            parted: Some("the mirror went on".to_owned()),
            ..fresh
        };
        state.save(&record).unwrap();
        assert_eq!(state.record("usb").unwrap(), record);
        let mode = fs::metadata(place.path().join("state")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
    }

    #[test]
    fn a_second_daemon_is_locked_out_and_damage_is_not_guessed_over() {
        let place = tempfile::tempdir().unwrap();
        let state = StateDirectory::take(place.path()).unwrap();
        let refused = StateDirectory::take(place.path()).unwrap_err();
        assert!(refused.message().contains("another daemon uses"), "{refused}");
        state.save(&VolumeRecord::new("usb", [7; 16])).unwrap();
        fs::write(place.path().join("volumes/usb/record.json"), b"{").unwrap();
        assert!(state.record("usb").unwrap_err().message().contains("record.json"));
    }
}
