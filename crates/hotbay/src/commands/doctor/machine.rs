//! What a machine has that hotbay can use.

use std::fs;
use std::path::Path;

use super::Finding;
use crate::attach::NbdDevice;

/// The first kernel on which `hotbay attach` can connect a device again.
const ATTACH_KERNEL: (u32, u32) = (5, 14);

pub(super) fn findings() -> Vec<Finding> {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let release = release.trim();
    vec![
        Finding::good("version", format!("hotbay {}", env!("CARGO_PKG_VERSION"))),
        kernel(release),
        user(rustix::process::geteuid().is_root()),
        nbd(NbdDevice::all().unwrap_or_default().len(), &Path::new("/lib/modules").join(release)),
        io_uring(fs::read_to_string("/proc/sys/kernel/io_uring_disabled").ok().as_deref()),
    ]
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

fn user(is_root: bool) -> Finding {
    match is_root {
        true => Finding::good("user", "root"),
        false => Finding::note(
            "user",
            "not root",
            "block devices are root's to make: 'sudo hotbay attach'; everything else works as any user",
        ),
    }
}

/// The kernel's NBD client: its devices, or whether it could be loaded.
fn nbd(devices: usize, modules: &Path) -> Finding {
    const CHECK: &str = "nbd";
    let others = "other NBD clients (qemu, libnbd) work without it";
    if devices > 0 {
        return Finding::good(CHECK, format!("the kernel has {devices} NBD devices"));
    }
    let lists = |file: &str| {
        fs::read_to_string(modules.join(file)).is_ok_and(|text| text.contains("/nbd.ko"))
    };
    if lists("modules.dep") || lists("modules.builtin") {
        let advice = "for 'hotbay attach': 'modprobe nbd', at each boot by a line 'nbd' in /etc/modules-load.d/nbd.conf";
        return Finding::note(CHECK, "the kernel's NBD client is not loaded", advice);
    }
    let advice = format!("'hotbay attach' needs a kernel that has it; {others}");
    Finding::note(CHECK, "this kernel has no NBD client", advice)
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
        assert_eq!(nbd(16, modules.path()).verdict, Verdict::Good);
        let none = nbd(0, modules.path());
        assert_eq!(none.found, "this kernel has no NBD client");
        fs::write(modules.path().join("modules.dep"), "kernel/drivers/block/nbd.ko.xz:\n").unwrap();
        let unloaded = nbd(0, modules.path());
        assert!(unloaded.advice.unwrap().contains("'modprobe nbd'"));
    }

    #[test]
    fn a_switched_off_io_uring_is_told() {
        assert_eq!(io_uring(Some("0\n")).verdict, Verdict::Good);
        assert_eq!(io_uring(None).verdict, Verdict::Good);
        assert_eq!(io_uring(Some("2\n")).verdict, Verdict::Note);
    }
}
