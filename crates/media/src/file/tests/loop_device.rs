//! Real block devices, made with `losetup`. That needs root; where it cannot be done each test says so and
//! proves nothing.

use std::process::Command;

use super::*;

/// A loop device over a sparse file.
struct Loop {
    device: PathBuf,
    backing: PathBuf,
}

impl Loop {
    /// `None`, loudly, where this machine makes none.
    fn over(directory: &Path, length: u64) -> Option<Self> {
        Self::with_sectors(directory, length, 512)
    }

    fn with_sectors(directory: &Path, length: u64, sector_bytes: u64) -> Option<Self> {
        let backing = directory.join("backing.img");
        File::create(&backing).unwrap().set_len(length).unwrap();
        let sectors = format!("--sector-size={sector_bytes}");
        let made =
            Command::new("losetup").args(["--find", "--show", &sectors]).arg(&backing).output();
        match made {
            Ok(output) if output.status.success() => {
                let device = String::from_utf8(output.stdout).unwrap().trim().into();
                Some(Self { device, backing })
            }
            other => {
                eprintln!(
                    "SKIPPED: no loop device can be made here, no block device is tried: {other:?}"
                );
                None
            }
        }
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        let _ = Command::new("losetup").arg("--detach").arg(&self.device).status();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_block_device_is_a_device() {
    let directory = tempfile::tempdir().unwrap();
    let Some(disk) = Loop::over(directory.path(), 6 << 20) else { return };
    let medium = FileMedium::open(&disk.device).unwrap();
    medium.presence().await.unwrap();
    let identity = medium.identify().await.unwrap();
    assert_eq!((identity.size_bytes, identity.file), (6 << 20, None));
    conformance::check(&Checked::new(medium)).await;
}

/// The kernel reads, changes and writes back the sector that a change covers in part, and whoever changes another part of it
/// meanwhile waits for that.
#[tokio::test(flavor = "multi_thread")]
async fn neighbours_in_one_sector_never_tear_each_other() {
    const SECTOR: u64 = 4096;
    const PART: u64 = 512;
    const SECTORS: u64 = 16;
    let directory = tempfile::tempdir().unwrap();
    let Some(disk) = Loop::with_sectors(directory.path(), 6 << 20, SECTOR) else { return };
    let medium = Arc::new(FileMedium::open(&disk.device).unwrap());
    conformance::check(&Checked::new(Arc::clone(&medium))).await;
    // Each sector has a writer for each of its parts, which never writes anything else.
    let writers = (0..SECTOR / PART).map(|part| {
        let medium = Arc::clone(&medium);
        tokio::spawn(async move {
            for round in 1..=60_u8 {
                for sector in 0..SECTORS {
                    let place = extent(sector * SECTOR + part * PART, PART);
                    let data = Bytes::from(vec![round; 512]);
                    let durability = match round % 8 {
                        0 => Durability::Stable,
                        _ => Durability::Deferred,
                    };
                    let change = match round % 5 {
                        0 => Request::zero(place, Hole::Allowed, durability),
                        _ => Request::Write { extent: place, data: data.clone(), durability },
                    };
                    run(&medium, change).await.unwrap();
                    let read = run(&medium, Request::read(place)).await.unwrap();
                    let expected = if round % 5 == 0 { Bytes::from(vec![0; 512]) } else { data };
                    assert_eq!(read.into_payload().into_bytes(), expected, "{place} in {round}");
                }
            }
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.unwrap();
    }
    let last = Bytes::from(vec![61; 512]);
    for number in (0..SECTORS * SECTOR / PART).step_by(3) {
        let (extent, durability) = (extent(number * PART, PART), Durability::Deferred);
        run(&medium, Request::Write { extent, data: last.clone(), durability }).await.unwrap();
    }
    run(&medium, Request::Flush).await.unwrap();
    // What the disk itself has, whatever is cached above it.
    let stored = fs::read(&disk.backing).unwrap();
    for (number, part) in stored.chunks(512).take(128).enumerate() {
        let expected = if number % 3 == 0 { 61 } else { 0 };
        assert!(part.iter().all(|byte| *byte == expected), "part {number}: {:?}", part.first());
    }
}

/// Whether the kernel writes for them it does not tell, so only holes are asked for.
#[tokio::test]
async fn a_block_device_makes_quick_zeroes_where_holes_are_allowed() {
    let directory = tempfile::tempdir().unwrap();
    let Some(disk) = Loop::over(directory.path(), 1 << 20) else { return };
    let medium = FileMedium::open(&disk.device).unwrap();
    run(&medium, write_at(0, 1 << 20, Durability::Stable)).await.unwrap();
    let quick = |length, hole| {
        let (extent, speed, durability) = (extent(1, length), Speed::Fast, Durability::Deferred);
        Request::Zero { extent, hole, speed, durability }
    };
    let slow = Some(ErrorKind::Slow);
    assert_eq!(kind(&medium, quick(65536, Hole::Forbidden)).await, slow);
    assert_eq!(kind(&medium, quick(500, Hole::Allowed)).await, slow, "it is no whole block");
    let read = run(&medium, Request::read(extent(0, 1 << 20))).await.unwrap();
    assert!(read.into_payload().into_bytes().iter().all(|byte| *byte != 0), "nothing is changed");
    assert_eq!(kind(&medium, quick(65536, Hole::Allowed)).await, None);
    let read = run(&medium, Request::read(extent(0, 1 << 20))).await.unwrap();
    let zeroes = read.into_payload().into_bytes().iter().filter(|byte| **byte == 0).count();
    assert_eq!(zeroes, 65536);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_block_device_that_is_not_cached_is_a_device() {
    let directory = tempfile::tempdir().unwrap();
    let Some(disk) = Loop::over(directory.path(), 6 << 20) else { return };
    let medium = FileMedium::open(&disk.device).unwrap();
    conformance::check(&Checked::new(cold::Forgetful::of(medium))).await;
}

#[tokio::test]
async fn a_block_device_has_one_user_at_a_time() {
    let directory = tempfile::tempdir().unwrap();
    let Some(disk) = Loop::over(directory.path(), 1 << 20) else { return };
    let first = FileMedium::open(&disk.device).unwrap();
    let error = FileMedium::open(&disk.device).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Medium);
    assert!(error.to_string().contains("is in use"), "{error}");
    drop(first);
    FileMedium::open(&disk.device).unwrap();
}

#[tokio::test]
async fn a_mounted_block_device_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let Some(disk) = Loop::over(directory.path(), 1 << 20) else { return };
    let made = Command::new("mke2fs").arg("-q").arg(&disk.device).output();
    let Some(place) = made.ok().and_then(|_| Mounted::on_new_place(&["-t", "ext4"], &disk.device))
    else {
        return;
    };
    let error = FileMedium::open(&disk.device).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Medium);
    let expected = format!("is mounted on {}", place.0.display());
    assert!(error.to_string().ends_with(&expected), "{error}");
}

#[tokio::test]
async fn a_block_device_that_changes_its_size_is_gone() {
    let directory = tempfile::tempdir().unwrap();
    let Some(disk) = Loop::over(directory.path(), 1 << 20) else { return };
    let medium = FileMedium::open(&disk.device).unwrap();
    File::options().write(true).open(&disk.backing).unwrap().set_len(8192).unwrap();
    let resized = Command::new("losetup").arg("--set-capacity").arg(&disk.device).status().unwrap();
    assert!(resized.success());
    let error = medium.presence().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Gone);
    assert!(error.to_string().contains("changed its size from 1048576 to 8192"), "{error}");
    // The kernel answers the one with 0 bytes and the other with ENOSPC.
    let read = Request::read(extent(65536, 4096));
    assert_eq!(kind(&medium, read).await, Some(ErrorKind::Gone));
    let write = write_at(65536, 4096, Durability::Deferred);
    assert_eq!(kind(&medium, write).await, Some(ErrorKind::Gone));
    assert_eq!(kind(&medium, Request::Flush).await, Some(ErrorKind::Gone));
}

/// The write is in the page cache, and the disk has no room for it: the first sync says so, and a second
/// one on the same descriptor would succeed with the data lost.
#[tokio::test]
async fn a_failed_sync_is_reported_once_and_never_retried() {
    let small = ["-t", "tmpfs", "-o", "size=1M"];
    let Some(room) = Mounted::on_new_place(&small, Path::new("tmpfs")) else { return };
    let Some(disk) = Loop::over(&room.0, 16 << 20) else { return };
    let medium = FileMedium::open(&disk.device).unwrap();
    assert_eq!(kind(&medium, write_at(0, 8 << 20, Durability::Deferred)).await, None);
    let error = run(&medium, Request::Flush).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Medium, "{}", error.with_sources());
    assert!(medium.presence().await.is_ok(), "the disk is there, it only has no room");
    for _ in 0..3 {
        assert_eq!(kind(&medium, Request::Flush).await, Some(ErrorKind::PreviousFailure));
    }
    let raw = medium.backing.open.file();
    assert!(
        rustix::fs::fdatasync(raw).is_ok(),
        "what the kernel would have said, had it been asked"
    );
}

/// A file system that is mounted as long as this lives.
struct Mounted(PathBuf);

impl Mounted {
    /// `None`, loudly, where nothing can be mounted.
    fn on_new_place(arguments: &[&str], what: &Path) -> Option<Self> {
        let place = tempfile::tempdir().unwrap().keep();
        match Command::new("mount").args(arguments).arg(what).arg(&place).output() {
            Ok(output) if output.status.success() => Some(Self(place)),
            other => {
                let _ = fs::remove_dir(&place);
                eprintln!(
                    "SKIPPED: {what:?} cannot be mounted here, so this is not tried: {other:?}"
                );
                None
            }
        }
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        // Lazily, because a loop device in it goes a moment later.
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
        let _ = fs::remove_dir(&self.0);
    }
}
