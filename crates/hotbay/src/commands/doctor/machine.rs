//! What a machine has that hotbay can use.

use std::fs;
use std::path::Path;

use super::Finding;
use crate::attach::NbdDevice;
use crate::config::Layout;

/// The first kernel on which `hotbay attach` can connect a device again.
const ATTACH_KERNEL: (u32, u32) = (5, 14);

/// The bit of `CAP_SYS_ADMIN` in a set of capabilities: what the kernel's NBD client asks for.
const CAP_SYS_ADMIN: u32 = 21;

/// What the machine has; `layout` is that of the drive that is to be served.
pub(super) fn findings(layout: Option<Layout>) -> Vec<Finding> {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let release = release.trim();
    let process = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let client = NbdClient::look();
    let mut findings = vec![
        Finding::good("version", format!("hotbay {}", env!("CARGO_PKG_VERSION"))),
        kernel(release),
        user(rustix::process::geteuid().is_root(), may_attach(&process)),
        nbd(&client, &Path::new("/lib/modules").join(release)),
    ];
    findings.extend(partitions(&client, layout));
    findings
        .push(io_uring(fs::read_to_string("/proc/sys/kernel/io_uring_disabled").ok().as_deref()));
    findings
}

fn kernel(release: &str) -> Finding {
    let (major, minor) = ATTACH_KERNEL;
    match version(release) {
        Some(found) if found >= ATTACH_KERNEL => {
            Finding::good("kernel", format!("Linux {release}"))
        }
        _ => Finding::note(
            "kernel",
            format!("Linux {release}"),
            format!(
                "'hotbay attach' needs Linux {major}.{minor}; other NBD clients work with this one"
            ),
        ),
    }
}

/// The two first numbers of a kernel's release.
fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

fn user(is_root: bool, may_attach: bool) -> Finding {
    const CHECK: &str = "user";
    match (is_root, may_attach) {
        (true, true) => Finding::good(CHECK, "root"),
        (true, false) => Finding::note(
            CHECK,
            "root without the capability CAP_SYS_ADMIN, as in a container",
            "'hotbay attach' needs it: run that outside, or give it; everything else works without",
        ),
        (false, _) => Finding::note(
            CHECK,
            "not root",
            "block devices are root's to make: 'sudo hotbay attach'; everything else works as any user",
        ),
    }
}

/// Whether a process has what the kernel's NBD client asks for, by its `/proc/PID/status`. Where that does not tell, it has.
fn may_attach(process: &str) -> bool {
    let effective = process.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let effective = effective.and_then(|set| u64::from_str_radix(set.trim(), 16).ok());
    effective.is_none_or(|set| set & (1 << CAP_SYS_ADMIN) != 0)
}

/// The kernel's NBD client.
#[derive(Debug, Default)]
struct NbdClient {
    /// Whether it is there, with devices or without.
    is_loaded: bool,
    /// How many devices there are, and how many of them are attached to something.
    devices: usize,
    used: usize,
    /// The first device that has no file in /dev.
    without_node: Option<NbdDevice>,
    /// How many partitions a device may have; `None` where the kernel does not tell.
    partitions_max: Option<u32>,
}

impl NbdClient {
    fn look() -> Self {
        let devices = NbdDevice::all().unwrap_or_default();
        let module = Path::new("/sys/module/nbd");
        let partitions_max = fs::read_to_string(module.join("parameters/max_part")).ok();
        Self {
            is_loaded: module.exists() || !devices.is_empty(),
            devices: devices.len(),
            used: devices.iter().filter(|device| device.is_attached()).count(),
            without_node: devices.into_iter().find(|device| !device.path().exists()),
            partitions_max: partitions_max.and_then(|text| text.trim().parse().ok()),
        }
    }
}

/// Whether the kernel's NBD client can be used, or whether it could be loaded.
fn nbd(client: &NbdClient, modules: &Path) -> Finding {
    const CHECK: &str = "nbd";
    const THERE: &str = "the kernel's NBD client is there";
    if let Some(device) = client.without_node {
        return Finding::note(
            CHECK,
            format!("the kernel has {device}, but there is no such file"),
            "for 'hotbay attach': mount devtmpfs on /dev, or make the file with mknod",
        );
    }
    let NbdClient { devices, used, .. } = *client;
    if client.is_loaded {
        let found = match devices.saturating_sub(used) {
            0 => format!("{THERE}, devices: {devices}, none free: 'hotbay attach' adds one"),
            free => format!("{THERE}, devices: {devices}, free: {free}"),
        };
        return Finding::good(CHECK, found);
    }
    let lists = |file: &str| {
        fs::read_to_string(modules.join(file)).is_ok_and(|text| text.contains("/nbd.ko"))
    };
    if lists("modules.dep") || lists("modules.builtin") {
        let advice = "for 'hotbay attach': 'modprobe nbd', at each boot by a line 'nbd' in /etc/modules-load.d/nbd.conf";
        return Finding::note(CHECK, "the kernel's NBD client is not loaded", advice);
    }
    Finding::note(
        CHECK,
        "this kernel has no NBD client",
        "'hotbay attach' needs a kernel that has it; other NBD clients (qemu, libnbd) work without it",
    )
}

/// Whether the kernel shows the partitions of a drive that has some.
fn partitions(client: &NbdClient, layout: Option<Layout>) -> Option<Finding> {
    (layout == Some(Layout::Partitions) && client.partitions_max == Some(0)).then(|| {
        Finding::problem(
            "partitions",
            "the drive has partitions, and the kernel's NBD client shows none of its devices'",
            "'modprobe -r nbd && modprobe nbd max_part=15', at each boot by 'options nbd max_part=15' in /etc/modprobe.d/nbd.conf",
        )
    })
}

/// What `/proc/sys/kernel/io_uring_disabled` says.
fn io_uring(disabled: Option<&str>) -> Finding {
    match disabled.map(str::trim) {
        None | Some("0") => Finding::good("io_uring", "allowed"),
        Some(_) => Finding::note(
            "io_uring",
            "switched off for this machine",
            "reads that are not cached go through threads then, at more processor time; sysctl kernel.io_uring_disabled=0 allows it",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;

    #[test]
    fn a_kernel_is_told_by_its_first_two_numbers() {
        let verdicts = [
            ("6.1.0-18-amd64", Verdict::Good),
            ("5.14.0", Verdict::Good),
            ("5.13.19", Verdict::Note),
            ("4.19-rc1", Verdict::Note),
            ("odd", Verdict::Note),
        ];
        for (release, verdict) in verdicts {
            assert_eq!(kernel(release).verdict, verdict, "{release}");
        }
    }

    #[test]
    fn an_nbd_module_is_loaded_or_can_be_or_is_not_there() {
        let modules = tempfile::tempdir().unwrap();
        let found = |is_loaded, devices, used| {
            let client = NbdClient { is_loaded, devices, used, ..NbdClient::default() };
            nbd(&client, modules.path())
        };
        assert_eq!(
            found(true, 16, 4).found,
            "the kernel's NBD client is there, devices: 16, free: 12"
        );
        assert_eq!(found(true, 0, 0).verdict, Verdict::Good);
        assert!(found(true, 2, 2).found.contains("'hotbay attach' adds one"));
        assert_eq!(found(false, 0, 0).found, "this kernel has no NBD client");
        fs::write(modules.path().join("modules.dep"), "kernel/drivers/block/nbd.ko.xz:\n").unwrap();
        assert!(found(false, 0, 0).advice.unwrap().contains("'modprobe nbd'"));
    }

    #[test]
    fn a_device_without_a_file_is_told() {
        let client = NbdClient {
            is_loaded: true,
            devices: 1,
            without_node: Some(NbdDevice::new(0)),
            ..NbdClient::default()
        };
        let finding = nbd(&client, Path::new("/"));
        assert_eq!(finding.found, "the kernel has /dev/nbd0, but there is no such file");
    }

    #[test]
    fn partitions_need_a_client_that_shows_them() {
        let showing = |partitions_max| NbdClient { partitions_max, ..NbdClient::default() };
        assert!(partitions(&showing(Some(0)), Some(Layout::Partitions)).is_some());
        for (shows, layout) in [
            (Some(15), Some(Layout::Partitions)),
            (None, Some(Layout::Partitions)),
            (Some(0), Some(Layout::Volumes)),
            (Some(0), None),
        ] {
            assert_eq!(partitions(&showing(shows), layout), None, "{shows:?} {layout:?}");
        }
    }

    #[test]
    fn root_may_lack_what_attaching_takes() {
        assert!(may_attach("Name:\thotbay\nCapEff:\t000001ffffffffff\n"));
        assert!(!may_attach("CapEff:\t00000000a80425fb\n"), "what a container has");
        assert!(may_attach(""));
        assert_eq!(user(true, true).verdict, Verdict::Good);
        assert!(user(true, false).found.contains("CAP_SYS_ADMIN"));
        assert!(user(false, false).advice.unwrap().contains("sudo"));
    }

    #[test]
    fn a_switched_off_io_uring_is_told() {
        assert_eq!(io_uring(Some("0\n")).verdict, Verdict::Good);
        assert_eq!(io_uring(None).verdict, Verdict::Good);
        assert_eq!(io_uring(Some("2\n")).verdict, Verdict::Note);
    }
}
