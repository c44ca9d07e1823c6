//! A real kernel pulls a real SCSI disk from under a medium, and gives it back.
//!
//! The kernel is user-mode Linux: a process of this machine, which needs no root and no modules of the host. It
//! runs this very program again, on a disk of its `scsi_debug`. Where it is not installed
//! (`apt install user-mode-linux kmod`) the test says so and proves nothing.

#![expect(clippy::unwrap_used, reason = "the helpers here are part of a test as well")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use hotbay_block::{
    Checked, Device, Durability, ErrorKind, Extent, Hole, Medium, Reply, Request, Result,
    conformance,
};
use hotbay_media::FileMedium;

const KERNEL: &str = "/usr/bin/linux.uml";

/// The guest's only process. `@PROGRAM` and `@WORK` are filled in.
const GUEST: &str = r#"#!/bin/sh
export PATH=/usr/sbin:/usr/bin:/sbin:/bin TMPDIR=/run
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mount -t tmpfs run /run
mkdir -p /run/m/lib
ln -s /usr/lib/uml/modules /run/m/lib/modules
modprobe -d /run/m scsi_debug dev_size_mb=8 delay=0 lbpu=1 lbpws=1 lbprz=1
modprobe -d /run/m sd_mod
@PROGRAM --exact --ignored --nocapture --test-threads=1 in_the_guest >@WORK/log 2>&1 \
    && echo passed >@WORK/verdict
halt -f
"#;

#[test]
fn a_disk_that_is_pulled_is_gone_and_comes_back() {
    if !Path::new(KERNEL).exists() {
        eprintln!("SKIPPED: {KERNEL} is not installed, so no real disk is pulled");
        return;
    }
    let work = tempfile::tempdir().unwrap();
    let at = |name: &str| work.path().join(name);
    let program = std::env::current_exe().unwrap();
    let script = GUEST
        .replace("@PROGRAM", program.to_str().unwrap())
        .replace("@WORK", work.path().to_str().unwrap());
    fs::write(at("guest"), script).unwrap();
    fs::set_permissions(at("guest"), fs::Permissions::from_mode(0o755)).unwrap();
    let console = Command::new("timeout")
        .args(["--kill-after=5", "240", KERNEL, "mem=256M", "root=/dev/root", "rootfstype=hostfs"])
        .args(["rootflags=/", "rw", "con=null", "con0=null,fd:1", "quiet"])
        .arg(format!("init={}", at("guest").display()))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let log = fs::read_to_string(at("log")).unwrap_or_default();
    let console = String::from_utf8_lossy(&console.stdout);
    assert!(at("verdict").exists(), "the guest has failed\n{log}\n{console}");
    assert!(log.contains("1 passed"), "the guest has tried nothing\n{log}");
    eprintln!("{log}");
}

#[test]
#[ignore = "runs in the guest that the other test starts, on a disk that it may destroy"]
fn in_the_guest() {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_io().build().unwrap();
    runtime.block_on(async {
        a_scsi_disk_is_a_device().await;
        a_bad_sector_is_no_removal().await;
        a_disk_that_answers_nothing_is_gone().await;
        a_pulled_disk_is_gone().await;
    });
}

async fn a_scsi_disk_is_a_device() {
    conformance::check(&Checked::new(open().await)).await;
}

/// `scsi_debug` reports a medium error for ten sectors from this one on, if it is asked to.
const BAD_SECTOR: u64 = 0x1234;

async fn a_bad_sector_is_no_removal() {
    let options = "/sys/bus/pseudo/drivers/scsi_debug/opts";
    let medium = open().await;
    fs::write(options, "0x2").unwrap();
    let bad = Extent::new(BAD_SECTOR * 512, 512).unwrap();
    assert_eq!(kind(run(&medium, Request::read(bad)).await), Some(ErrorKind::Medium));
    medium.presence().await.unwrap();
    fs::write(options, "0x0").unwrap();
    assert_eq!(kind(run(&medium, Request::read(bad)).await), None);
}

async fn a_disk_that_answers_nothing_is_gone() {
    let medium = open().await;
    let head = Extent::new(0, 4096).unwrap();
    run(&medium, Request::read(head)).await.unwrap();
    let state = Path::new("/sys/block").join(disk().unwrap()).join("device/state");
    fs::write(&state, "offline\n").unwrap();
    assert_eq!(kind(run(&medium, Request::read(head)).await), None, "the page cache answers");
    assert_eq!(kind(medium.presence().await), Some(ErrorKind::Gone), "the disk does not");
    fs::write(&state, "running\n").unwrap();
    medium.presence().await.unwrap();
}

async fn a_pulled_disk_is_gone() {
    let medium = open_by_lasting_node().await;
    put(&medium, 0, b"XFSB", Durability::Deferred).await.unwrap();
    put(&medium, 32, &[0x11; 16], Durability::Stable).await.unwrap();
    let before = medium.identify().await.unwrap();
    assert_eq!(before.content, ["xfs:11111111-1111-1111-1111-111111111111"]);
    let hardware = before.hardware.clone().unwrap();
    assert!(hardware.starts_with("wwn:naa."), "{hardware}");

    fs::write(Path::new("/sys/block").join(disk().unwrap()).join("device/delete"), "1").unwrap();
    let gone = Some(ErrorKind::Gone);
    assert_eq!(kind(medium.presence().await), gone);
    let far = Extent::new(5 << 20, 4096).unwrap();
    assert_eq!(kind(run(&medium, Request::read(far)).await), gone, "a read of 0 bytes");
    assert_eq!(kind(put(&medium, 6 << 20, b"late", Durability::Deferred).await), gone, "ENOSPC");
    let (hole, durability) = (Hole::Allowed, Durability::Deferred);
    assert_eq!(kind(run(&medium, Request::zero(far, hole, durability)).await), gone);
    assert_eq!(kind(run(&medium, Request::Flush).await), gone);
    assert_eq!(kind(run(&medium, Request::Flush).await), Some(ErrorKind::PreviousFailure));

    fs::write("/sys/class/scsi_host/host0/scan", "- - -").unwrap();
    assert_eq!(kind(medium.presence().await), gone, "the old handle does not come back");
    let again = open().await;
    let after = again.identify().await.unwrap();
    assert_eq!((after.content, after.hardware), (before.content, before.hardware));
    assert_eq!(kind(run(&again, Request::Flush).await), None);
    drop(medium);
    again.presence().await.unwrap();
}

/// The name of the one SCSI disk.
fn disk() -> Option<String> {
    let names = fs::read_dir("/sys/block").unwrap().map(|entry| entry.unwrap().file_name());
    names.map(|name| name.into_string().unwrap()).find(|name| name.starts_with("sd"))
}

/// Opens the disk once the kernel has made it known, which it does in its own time.
async fn open() -> FileMedium {
    for _ in 0..200 {
        let path = disk().map(|name| Path::new("/dev").join(name));
        if let Some(medium) = path.and_then(|path| FileMedium::open(&path).ok()) {
            return medium;
        }
        // The probe of a disk has no event that a program without udev could wait for.
        let nap = || Command::new("sleep").arg("0.05").status();
        tokio::task::spawn_blocking(nap).await.unwrap().unwrap();
    }
    panic!("the kernel shows no SCSI disk");
}

/// Opens it by a node of its own, which stays when the disk goes, as on a machine without devtmpfs.
async fn open_by_lasting_node() -> FileMedium {
    drop(open().await);
    let device =
        fs::read_to_string(Path::new("/sys/block").join(disk().unwrap()).join("dev")).unwrap();
    let (major, minor) = device.trim().split_once(':').unwrap();
    let made = Command::new("mknod").args(["/run/disk", "b", major, minor]).status().unwrap();
    assert!(made.success());
    FileMedium::open(Path::new("/run/disk")).unwrap()
}

async fn run(medium: &FileMedium, request: Request) -> Result<Reply> {
    medium.execute(request).answer().await
}

async fn put(
    medium: &FileMedium,
    offset: u64,
    data: &'static [u8],
    durability: Durability,
) -> Result<Reply> {
    let extent = Extent::new(offset, data.len() as u64).unwrap();
    run(medium, Request::Write { extent, data: data.into(), durability }).await
}

fn kind<T>(outcome: Result<T>) -> Option<ErrorKind> {
    outcome.err().map(|error| {
        eprintln!("{}", error.with_sources());
        error.kind()
    })
}
