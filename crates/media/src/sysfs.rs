//! What `/sys` tells about a block device; all of it best effort. And the block device that says something of itself:
//! for that no udev is needed, which is slower than the kernel and not there in every container.

use std::path::{Path, PathBuf};

use rustix::fs::FileType;

use crate::disk_name::{DiskName, Sign, one_blank};

/// What the hardware behind a block device's node says of itself, as in [`Identity::hardware`](hotbay_block::Identity); the device
/// is not opened. `None` where it says nothing, and where the node is none of a block device.
#[must_use]
pub fn hardware_of(node: &Path) -> Option<String> {
    let found = rustix::fs::stat(node).ok()?;
    let is_block = FileType::from_raw_mode(found.st_mode) == FileType::BlockDevice;
    let number = is_block.then_some(found.st_rdev)?;
    SysDevice::find(rustix::fs::major(number), rustix::fs::minor(number))?.hardware()
}

/// A block device as `/sys/dev/block` shows it.
#[derive(Debug)]
pub(crate) struct SysDevice {
    /// Where its attributes are; a partition's is inside its disk's.
    directory: PathBuf,
}

impl SysDevice {
    /// The device with this number.
    pub(crate) fn find(major: u32, minor: u32) -> Option<Self> {
        Self::find_under(Path::new("/sys/dev/block"), major, minor)
    }

    fn find_under(root: &Path, major: u32, minor: u32) -> Option<Self> {
        let directory = root.join(format!("{major}:{minor}")).canonicalize().ok()?;
        Some(Self { directory })
    }

    /// Where its node is, by the name that the kernel gave it.
    pub(crate) fn node(&self) -> Option<PathBuf> {
        let told = std::fs::read_to_string(self.directory.join("uevent")).ok()?;
        let name = told.lines().find_map(|line| line.strip_prefix("DEVNAME="))?;
        Some(Path::new("/dev").join(name))
    }

    /// Whether it is the disk, or the partition, of that name.
    pub(crate) fn is_named(&self, name: &DiskName) -> bool {
        self.partition() == name.partition() && says(self.disk(), name.sign())
    }

    /// Its size in bytes; 0 where a reader of cards has none in it.
    pub(crate) fn size_bytes(&self) -> Option<u64> {
        let sectors: u64 = attribute(&self.directory.join("size"))?.parse().ok()?;
        sectors.checked_mul(512)
    }

    /// Whether it is a spinning disk or behaves like one.
    pub(crate) fn is_rotational(&self) -> bool {
        attribute(&self.disk().join("queue/rotational")).as_deref() == Some("1")
    }

    /// What the hardware says it is: `wwn:…`, `serial:…`, `usb:VENDOR:PRODUCT:SERIAL`, `dm:…`, `md:…`, with
    /// the number of the partition where it is one.
    pub(crate) fn hardware(&self) -> Option<String> {
        let disk = self.disk();
        let first = |prefix: &str, names: &[&str]| {
            let found = names.iter().find_map(|name| attribute(&disk.join(name)))?;
            Some(format!("{prefix}:{found}"))
        };
        let name = first("wwn", &["device/wwid", "wwid"])
            .or_else(|| first("dm", &["dm/uuid"]))
            .or_else(|| first("md", &["md/uuid"]))
            .or_else(|| first("serial", &["serial", "device/serial"]))
            .or_else(|| usb_serial(disk))?;
        match self.partition() {
            Some(number) => Some(format!("{name}-part{number}")),
            None => Some(name),
        }
    }

    /// Its number, where it is a partition.
    fn partition(&self) -> Option<u32> {
        attribute(&self.directory.join("partition"))?.parse().ok()
    }

    fn disk(&self) -> &Path {
        let is_partition = self.directory.join("partition").exists();
        self.directory.parent().filter(|_| is_partition).unwrap_or(&self.directory)
    }
}

/// Sticks and card readers seldom have a name of their own as a disk, but the USB device above often has a
/// serial number.
fn usb_serial(disk: &Path) -> Option<String> {
    let above = usb_device(disk)?;
    let [vendor, product, serial] =
        ["idVendor", "idProduct", "serial"].map(|name| attribute(&above.join(name)));
    Some(format!("usb:{}:{}:{}", vendor?, product?, serial?))
}

/// The USB device with a serial number that a disk is in.
fn usb_device(disk: &Path) -> Option<&Path> {
    let has = |above: &Path, name| attribute(&above.join(name)).is_some();
    disk.ancestors()
        .find(|above| ["idVendor", "idProduct", "serial"].iter().all(|name| has(above, name)))
}

/// The one line of an attribute, with inner runs of blanks joined; `None` where it is missing or says
/// nothing.
fn attribute(path: &Path) -> Option<String> {
    let text = one_blank(&String::from_utf8_lossy(&std::fs::read(path).ok()?));
    (!text.is_empty()).then_some(text)
}

/// What was found under a name.
#[derive(Debug)]
pub(crate) enum Found {
    /// No such device is there now.
    Nothing,
    /// The one that there is.
    One(SysDevice),
    /// Several that say the same, by their nodes.
    Several(Vec<String>),
}

/// Looks through the disks that are there now for the one of that name.
pub(crate) fn find_named(name: &DiskName) -> Found {
    find_named_under(Path::new("/sys/block"), name)
}

fn find_named_under(root: &Path, name: &DiskName) -> Found {
    let mut found: Vec<SysDevice> = entries(root)
        .filter(|disk| says(disk, name.sign()))
        .filter_map(|disk| match name.partition() {
            None => Some(disk),
            Some(number) => entries(&disk).find(|part| {
                attribute(&part.join("partition")).is_some_and(|n| n == number.to_string())
            }),
        })
        // One without a number is a path of another one, which has no node.
        .filter(|directory| directory.join("dev").exists())
        .map(|directory| SysDevice { directory })
        .collect();
    match found.len() {
        0 | 1 => found.pop().map_or(Found::Nothing, Found::One),
        _ => {
            let nodes = found.iter().filter_map(SysDevice::node);
            let mut nodes: Vec<String> = nodes.map(|node| node.display().to_string()).collect();
            nodes.sort_unstable();
            Found::Several(nodes)
        }
    }
}

/// The directories in one, as they really are.
fn entries(directory: &Path) -> impl Iterator<Item = PathBuf> {
    let entries = std::fs::read_dir(directory).ok().into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.path().canonicalize().ok()).filter(|path| path.is_dir())
}

/// Whether a disk says that of itself.
fn says(disk: &Path, sign: &Sign) -> bool {
    match sign {
        Sign::Wwn(_) => ["device/wwid", "wwid"]
            .iter()
            .filter_map(|name| Sign::wwn(&attribute(&disk.join(name))?))
            .any(|said| said == *sign),
        Sign::Serial(_) => ["serial", "device/serial"]
            .iter()
            .filter_map(|name| attribute(&disk.join(name)))
            .chain(scsi_serial(disk))
            .chain(usb_device(disk).and_then(|above| attribute(&above.join("serial"))))
            .any(|said| Sign::serial(&said).as_ref() == Some(sign)),
    }
}

/// The serial number in the page that SCSI has for it, behind a head of four bytes.
fn scsi_serial(disk: &Path) -> Option<String> {
    let page = std::fs::read(disk.join("device/vpd_pg80")).ok()?;
    Some(String::from_utf8_lossy(page.get(4..)?).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn device(attributes: &[(&str, &str)], directory: &str) -> (tempfile::TempDir, SysDevice) {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in attributes {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        fs::create_dir_all(root.path().join("dev")).unwrap();
        std::os::unix::fs::symlink(root.path().join(directory), root.path().join("dev/8:1"))
            .unwrap();
        let device = SysDevice::find_under(&root.path().join("dev"), 8, 1).unwrap();
        (root, device)
    }

    #[test]
    fn a_disk_is_named_by_its_strongest_sign() {
        let (_root, disk) = device(
            &[
                ("sda/device/wwid", "naa.5000c500a1b2c3d4\n"),
                ("sda/serial", "S1\n"),
                ("sda/size", "2048\n"),
                ("sda/queue/rotational", "1\n"),
            ],
            "sda",
        );
        assert_eq!(disk.hardware().as_deref(), Some("wwn:naa.5000c500a1b2c3d4"));
        assert_eq!(disk.size_bytes(), Some(1 << 20));
        assert!(disk.is_rotational());
    }

    #[test]
    fn a_partition_has_the_name_of_its_disk_and_a_number() {
        let (_root, partition) = device(
            &[
                ("vda/serial", "  SER   IAL \n"),
                ("vda/queue/rotational", "1\n"),
                ("vda/vda2/partition", "2\n"),
                ("vda/vda2/size", "8\n"),
            ],
            "vda/vda2",
        );
        assert_eq!(partition.hardware().as_deref(), Some("serial:SER IAL-part2"));
        assert_eq!(partition.size_bytes(), Some(4096));
        assert!(partition.is_rotational());
    }

    #[test]
    fn a_stick_is_named_by_the_usb_device_above() {
        let (_root, stick) = device(
            &[
                ("usb/idVendor", "0781\n"),
                ("usb/idProduct", "5567\n"),
                ("usb/serial", "4C53\n"),
                ("usb/host/sdb/size", "0\n"),
                ("usb/host/sdb/device/wwid", "\n"),
            ],
            "usb/host/sdb",
        );
        assert_eq!(stick.hardware().as_deref(), Some("usb:0781:5567:4C53"));
        assert_eq!(stick.size_bytes(), Some(0));
        assert!(!stick.is_rotational());
    }

    #[test]
    fn a_device_that_says_nothing_has_no_name() {
        let (_root, disk) = device(&[("loop0/size", "16\n")], "loop0");
        assert_eq!(disk.hardware(), None);
    }

    /// Disks as `/sys/block` has them, each a link.
    fn disks(attributes: &[(&str, &[u8])]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (path, bytes) in attributes {
            let path = root.path().join("devices").join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
        fs::create_dir(root.path().join("block")).unwrap();
        for host in fs::read_dir(root.path().join("devices")).unwrap() {
            let host = host.unwrap().path();
            for disk in fs::read_dir(host).unwrap().map(|entry| entry.unwrap().path()) {
                if disk.is_dir() {
                    let link = root.path().join("block").join(disk.file_name().unwrap());
                    std::os::unix::fs::symlink(disk, link).unwrap();
                }
            }
        }
        root
    }

    fn nodes(root: &tempfile::TempDir, name: &str) -> Vec<String> {
        match find_named_under(&root.path().join("block"), &name.parse().unwrap()) {
            Found::Nothing => Vec::new(),
            Found::One(device) => {
                assert!(device.is_named(&name.parse().unwrap()), "{name}");
                vec![device.node().unwrap().display().to_string()]
            }
            Found::Several(nodes) => nodes,
        }
    }

    #[test]
    fn a_disk_is_found_by_what_it_says_of_itself() {
        let root = disks(&[
            ("h1/sda/device/wwid", b"naa.5000c500a1b2c3d4\n"),
            ("h1/sda/device/vpd_pg80", b"\0\x80\0\x08  S3Z8  \0"),
            ("h1/sda/dev", b"8:0\n"),
            ("h1/sda/uevent", b"MAJOR=8\nDEVNAME=sda\n"),
            ("h1/sda/sda2/partition", b"2\n"),
            ("h1/sda/sda2/dev", b"8:2\n"),
            ("h1/sda/sda2/uevent", b"DEVNAME=sda2\n"),
            ("h2/nvme0n1/wwid", b"eui.0025385B71\n"),
            ("h2/nvme0n1/device/serial", b"NV 1   \n"),
            ("h2/nvme0n1/dev", b"259:0\n"),
            ("h2/nvme0n1/uevent", b"DEVNAME=nvme0n1\n"),
            ("h2/nvme0c0n1/wwid", b"eui.0025385B71\n"),
            ("usb/idVendor", b"0781\n"),
            ("usb/idProduct", b"5567\n"),
            ("usb/serial", b"4C53\n"),
            ("usb/sdb/dev", b"8:16\n"),
            ("usb/sdb/uevent", b"DEVNAME=sdb\n"),
        ]);
        for (name, node) in [
            ("wwn:0x5000c500a1b2c3d4", "/dev/sda"),
            ("wwn:NAA.5000C500A1B2C3D4", "/dev/sda"),
            ("wwn:0x5000c500a1b2c3d4-part2", "/dev/sda2"),
            ("serial:S3Z8", "/dev/sda"),
            ("serial:S3Z8-part2", "/dev/sda2"),
            ("wwn:eui.0025385b71", "/dev/nvme0n1"),
            ("serial:NV 1", "/dev/nvme0n1"),
            ("serial:4C53", "/dev/sdb"),
        ] {
            assert_eq!(nodes(&root, name), [node], "{name}");
        }
        for name in ["wwn:0x5000c500a1b2c3d5", "serial:S3Z", "serial:s3z8", "serial:S3Z8-part1"] {
            assert_eq!(nodes(&root, name), [] as [&str; 0], "{name}");
        }
    }

    #[test]
    fn of_several_that_say_the_same_none_is_taken() {
        let root = disks(&[
            ("h1/sdb/serial", b"0001\n"),
            ("h1/sdb/dev", b"8:16\n"),
            ("h1/sdb/uevent", b"DEVNAME=sdb\n"),
            ("h2/sda/serial", b"0001\n"),
            ("h2/sda/dev", b"8:0\n"),
            ("h2/sda/uevent", b"DEVNAME=sda\n"),
        ]);
        assert_eq!(nodes(&root, "serial:0001"), ["/dev/sda", "/dev/sdb"]);
    }
}
