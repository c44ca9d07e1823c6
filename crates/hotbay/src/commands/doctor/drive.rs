//! How a drive is: its daemon, its state directory, its volumes.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use rustix::fs::{Access, access, statfs, statvfs};

use super::super::journal::{Condition, KeptJournal};
use super::super::output::human_size;
use super::super::room;
use super::Finding;
use crate::config::Config;
use crate::control::{State, Status, VolumeStatus};
use crate::failure::Failure;
use crate::records;

/// File systems that forget everything when the power fails, by their numbers in Linux.
const FORGETFUL: [(u32, &str); 2] = [(0x0102_1994, "tmpfs"), (0x8584_58f6, "ramfs")];

/// Whether a daemon answers.
pub(super) fn daemon(status: &Result<Status, Failure>) -> Finding {
    match status {
        Ok(status) => {
            let (drive, volumes) = (&status.drive, status.volumes.len());
            Finding::good("daemon", format!("drive {drive} answers, volumes: {volumes}"))
        }
        Err(failure) => {
            let advice = failure.hint().unwrap_or("start one with 'hotbay serve'");
            Finding::note("daemon", failure.message(), advice)
        }
    }
}

/// The state directory, where there is one.
pub(super) fn state_findings(config: &Config) -> Vec<Finding> {
    let state = &config.state;
    if !state.exists() {
        let found = format!("{} is not there yet", state.display());
        return vec![Finding::note("state directory", found, "'hotbay serve' makes it")];
    }
    vec![permissions(state), stable_storage(state), room(config)]
}

fn permissions(state: &Path) -> Finding {
    const CHECK: &str = "state directory";
    let shown = state.display();
    if access(state, Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK).is_err() {
        let owner =
            fs::metadata(state).map_or_else(|_| "another".into(), |is| is.uid().to_string());
        let found = format!("you may not read and write {shown}");
        return Finding::problem(
            CHECK,
            found,
            format!("run the daemon as its owner, user {owner}, or name another with --state"),
        );
    }
    match fs::metadata(state).map(|is| is.permissions().mode() & 0o077) {
        Ok(0) => Finding::good(CHECK, format!("{shown}, for its owner alone")),
        Ok(_) => Finding::problem(
            CHECK,
            format!("others may look into {shown}, where the journals hold what was written"),
            format!("'chmod 700 {shown}'"),
        ),
        Err(error) => {
            Finding::failed(CHECK, &Failure::new(format!("cannot look at {shown}: {error}")))
        }
    }
}

/// A journal on memory would lose what was flushed.
fn stable_storage(state: &Path) -> Finding {
    const CHECK: &str = "stable storage";
    let shown = state.display();
    match statfs(state) {
        Ok(system) => {
            let number = u32::try_from(system.f_type & 0xffff_ffff).unwrap_or_default();
            match FORGETFUL.iter().find(|(forgetful, _)| *forgetful == number) {
                None => Finding::good(CHECK, format!("{shown} is on a disk")),
                Some((_, name)) => Finding::problem(
                    CHECK,
                    format!("{shown} is on {name}, which is empty after the power has failed"),
                    "name a directory on a disk with --state or 'state' in the configuration",
                ),
            }
        }
        Err(error) => {
            Finding::failed(CHECK, &Failure::new(format!("cannot look at {shown}: {error}")))
        }
    }
}

/// Whether every journal could grow to its limit.
fn room(config: &Config) -> Finding {
    let limits = config.volumes.iter().map(|volume| volume.journal_limit_bytes).sum();
    match statvfs(&config.state) {
        Ok(system) => free_space(system.f_bavail.saturating_mul(system.f_frsize), limits),
        Err(error) => {
            let shown = config.state.display();
            Finding::failed("free space", &Failure::new(format!("cannot look at {shown}: {error}")))
        }
    }
}

fn free_space(free: u64, limits: u64) -> Finding {
    const CHECK: &str = "free space";
    let (free_text, limits_text) = (human_size(free), human_size(limits));
    let found = format!("{free_text} for journals, which may grow to {limits_text}");
    if free >= limits {
        return Finding::good(CHECK, found);
    }
    let advice =
        "make room, or lower journal_limit: a volume whose journal finds the disk full has failed";
    Finding::problem(CHECK, found, advice)
}

/// What a daemon says of its volumes.
pub(super) fn volumes(status: &Status) -> Vec<Finding> {
    status.volumes.iter().map(volume).collect()
}

fn volume(volume: &VolumeStatus) -> Finding {
    const CHECK: &str = "volume";
    let VolumeStatus { name, state, .. } = volume;
    let live = human_size(volume.journal.live_bytes);
    let found = format!("{name} is {state}");
    if let (Some(waits), Some(waiting)) = (room::what_waits(volume), &volume.waiting_for_room) {
        let advice = room::what_to_do(volume, waiting);
        return Finding::problem(CHECK, format!("{found}, and {waits}"), advice);
    }
    match state {
        State::Failed => {
            let why = volume.last_loss.as_deref().unwrap_or("its journal is broken");
            let advice = "docs/states.md, \"When a volume has failed\"; keep its journal as it is";
            Finding::problem(CHECK, format!("{found}: {why}"), advice)
        }
        State::Conflict => Finding::problem(
            CHECK,
            format!("{found}: {}", volume.conflict.as_deref().unwrap_or("its medium was changed")),
            format!(
                "'hotbay resolve {name} replay|discard' decides what counts, 'hotbay eject {name}' gives the medium back"
            ),
        ),
        State::Absent if volume.waiting_for_medium => Finding::problem(
            CHECK,
            format!("{found}, and requests wait for its medium"),
            format!("'hotbay insert {name}'"),
        ),
        State::Absent if volume.journal.live_bytes > 0 => Finding::note(
            CHECK,
            format!("{found}; its journal holds {live} that its medium lacks"),
            format!("'hotbay insert {name}' brings them to it"),
        ),
        State::Absent => Finding::note(CHECK, found, format!("'hotbay insert {name}'")),
        _ => Finding::good(CHECK, found),
    }
}

/// Without a daemon: the journals that lie in the state directory.
pub(super) fn kept_journals(state: &Path) -> Vec<Finding> {
    const CHECK: &str = "journal";
    let volumes = match records::volumes(state) {
        Ok(volumes) => volumes,
        // Where there is no state directory, there is no journal.
        Err(_) if !state.exists() => return Vec::new(),
        Err(failure) => return vec![Finding::failed(CHECK, &failure)],
    };
    let read = |volume: &str| {
        let journal = KeptJournal::read(state, volume)?;
        journal.must_be_its_own(state).map(|()| journal)
    };
    let journals = volumes.iter().map(|volume| match read(volume) {
        Ok(journal) => kept(volume, journal.condition(), journal.live_bytes()),
        Err(failure) => Finding::failed(CHECK, &failure),
    });
    journals.collect()
}

fn kept(volume: &str, condition: Condition, live_bytes: u64) -> Finding {
    const CHECK: &str = "journal";
    match (condition, live_bytes) {
        (Condition::Damaged, _) => Finding::problem(
            CHECK,
            format!("that of volume {volume} is damaged"),
            format!("'hotbay journal verify {volume}' says where; docs/states.md what then"),
        ),
        (_, 0) => Finding::good(CHECK, format!("that of volume {volume} holds nothing")),
        (_, bytes) => Finding::note(
            CHECK,
            format!("that of volume {volume} holds {} that its medium lacks", human_size(bytes)),
            "start the daemon with its medium in; do not use the medium elsewhere before",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;

    #[test]
    fn a_directory_is_for_its_owner_alone() {
        let directory = tempfile::tempdir().unwrap();
        for (mode, verdict) in [(0o700, Verdict::Good), (0o755, Verdict::Problem)] {
            fs::set_permissions(directory.path(), fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(permissions(directory.path()).verdict, verdict, "{mode:o}");
        }
    }

    #[test]
    fn memory_is_no_stable_storage() {
        assert_eq!(stable_storage(Path::new("/dev/shm")).verdict, Verdict::Problem);
        assert_eq!(stable_storage(Path::new("/usr")).verdict, Verdict::Good);
    }

    #[test]
    fn every_journal_must_be_able_to_grow_to_its_limit() {
        assert_eq!(free_space(1 << 30, 1 << 30).verdict, Verdict::Good);
        assert_eq!(free_space((1 << 30) - 1, 1 << 30).verdict, Verdict::Problem);
    }

    #[test]
    fn a_journal_that_waits_for_its_medium_is_told() {
        assert_eq!(kept("usb", Condition::Empty, 0).verdict, Verdict::Good);
        assert_eq!(kept("usb", Condition::Whole, 4096).verdict, Verdict::Note);
        assert_eq!(kept("usb", Condition::Damaged, 0).verdict, Verdict::Problem);
    }
}
