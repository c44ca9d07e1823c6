//! Who uses a device, for the message that refuses to take it away.

use std::fs;
use std::path::Path;

use super::NbdDevice;

/// Who uses the device or one of its partitions, as far as the kernel tells, each in a few words.
pub(crate) fn users(device: NbdDevice) -> Vec<String> {
    let sysfs = device.sysfs();
    let name = format!("nbd{}", device.index());
    let mut places = vec![sysfs.clone()];
    let partitions = fs::read_dir(&sysfs).into_iter().flatten().flatten();
    places.extend(
        partitions.map(|entry| entry.path()).filter(|path| path.join("partition").exists()),
    );
    let numbers: Vec<String> =
        places.iter().filter_map(|place| fs::read_to_string(place.join("dev")).ok()).collect();
    let numbers: Vec<&str> = numbers.iter().map(|number| number.trim()).collect();
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let swaps = fs::read_to_string("/proc/swaps").unwrap_or_default();
    let mut users: Vec<String> = mounted_at(&mounts, &numbers)
        .into_iter()
        .map(|place| format!("it is mounted at {place}"))
        .collect();
    users.extend(
        places.iter().flat_map(|place| holders(place)).map(|holder| format!("{holder} is on it")),
    );
    users.extend(swap_on(&swaps, &name).map(|path| format!("{path} is swap space")));
    users
}

/// Devices that lie on it: device-mapper, md.
fn holders(place: &Path) -> Vec<String> {
    let entries = fs::read_dir(place.join("holders")).into_iter().flatten().flatten();
    entries.map(|entry| format!("/dev/{}", entry.file_name().to_string_lossy())).collect()
}

/// Where block devices of these numbers are mounted.
fn mounted_at(mountinfo: &str, numbers: &[&str]) -> Vec<String> {
    let lines = mountinfo.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    let mounted = lines.filter_map(|words| match words.as_slice() {
        [_, _, number, _, place, ..] if numbers.contains(number) => Some(unescape(place)),
        _ => None,
    });
    mounted.collect()
}

fn swap_on<'a>(swaps: &'a str, name: &str) -> impl Iterator<Item = &'a str> {
    let prefix = format!("/dev/{name}");
    swaps.lines().filter_map(|line| line.split_whitespace().next()).filter(move |path| {
        path.strip_prefix(&prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('p'))
    })
}

/// The kernel writes a space in a path as `\040`.
fn unescape(path: &str) -> String {
    [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")]
        .iter()
        .fold(path.to_owned(), |path, (escaped, plain)| path.replace(escaped, plain))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts_are_found_by_number() {
        let mounts = "\
22 1 0:20 / /proc rw - proc proc rw
36 1 43:0 / /mnt/my\\040disk rw,relatime - ext4 /dev/nbd0 rw
37 1 43:1 / /srv rw - ext4 /dev/nbd0p1 rw
38 1 43:32 / /other rw - ext4 /dev/nbd1 rw
";
        assert_eq!(mounted_at(mounts, &["43:0", "43:1"]), ["/mnt/my disk", "/srv"]);
        assert!(mounted_at(mounts, &["43:64"]).is_empty());
        assert!(mounted_at("", &["43:0"]).is_empty());
    }

    #[test]
    fn swap_space_is_found_by_name() {
        let swaps =
            "Filename Type Size\n/dev/nbd1 partition 9\n/dev/nbd1p2 partition 9\n/dev/nbd10 p 9\n";
        assert_eq!(swap_on(swaps, "nbd1").collect::<Vec<_>>(), ["/dev/nbd1", "/dev/nbd1p2"]);
    }
}
