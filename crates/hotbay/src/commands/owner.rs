//! `hotbay owner`.

use super::output;
use crate::cli::OwnerArgs;
use crate::config::Environment;
use crate::failure::Failure;
use crate::records;

/// Says which volume a disk belongs to, wherever it is plugged in. Asks no daemon, and opens no disk.
///
/// # Errors
/// Where it belongs to none; where the state directory cannot be read.
pub(crate) fn run(arguments: &OwnerArgs, environment: &Environment) -> Result<(), Failure> {
    let OwnerArgs { device, state, udev } = arguments;
    let state = match state {
        Some(state) => environment.current.join(state),
        None => environment.state()?,
    };
    let shown = device.display();
    let disks = records::disks(&state)?;
    let said = hotbay_media::hardware_of(&environment.current.join(device));
    let owner =
        disks.into_iter().find(|(_, disk)| said.as_deref().is_some_and(|it| is_on(it, disk)));
    match (owner, udev) {
        (Some((volume, _)), false) => output::print_line(volume),
        (Some((volume, _)), true) => output::print(&properties(&volume)),
        (None, true) => Ok(()),
        (None, false) if said.is_none() => {
            Err(Failure::new(format!("{shown} does not say which disk it is"))
                .with_hint("name a block device; 'lsblk -o NAME,WWN,SERIAL' shows those that do"))
        }
        (None, false) => Err(Failure::new(format!("{shown} is no disk of a volume"))
            .with_hint("'hotbay status' shows the media of volumes")),
    }
}

/// What a udev rule imports: whose it is, and that desktops are to leave it alone.
fn properties(volume: &str) -> String {
    format!("HOTBAY_VOLUME={volume}\nUDISKS_IGNORE=1\n")
}

/// Whether hardware is a volume's disk, or a partition of the disk that a volume has as a whole.
fn is_on(said: &str, disk: &str) -> bool {
    let partition = said.strip_prefix(disk).and_then(|rest| rest.strip_prefix("-part"));
    said == disk || partition.is_some_and(|digits| digits.parse::<u32>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_volume_has_its_disk_and_what_is_on_it() {
        assert!(is_on("wwn:naa.5000", "wwn:naa.5000"));
        assert!(is_on("wwn:naa.5000-part12", "wwn:naa.5000"), "the volume has all of it");
        assert!(!is_on("wwn:naa.5000", "wwn:naa.5000-part1"), "the rest is somebody else's");
        assert!(!is_on("wwn:naa.5000-part2", "wwn:naa.5000-part1"));
        assert!(!is_on("serial:S12", "serial:S1"));
        assert!(!is_on("serial:S1-part", "serial:S1"));
    }
}
