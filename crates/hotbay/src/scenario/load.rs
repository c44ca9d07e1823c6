//! What a scenario does to its volume.

use std::ffi::OsStr;
use std::path::PathBuf;

use super::disk::Disk;
use super::file::LoadTable;
use super::shell::Shell;

/// How many of a hundred random requests are zeroes; what is neither these nor reads are writes.
const ZEROES_PERCENT: u8 = 10;

/// Where a command leaves its images, in the scenario's directory.
const IMAGES: &str = "images";

/// Carries the load out.
///
/// # Errors
/// What went wrong with it.
pub(super) async fn carry_out(
    load: &LoadTable,
    disk: &mut Disk,
    shell: &Shell,
) -> Result<(), String> {
    match load {
        LoadTable::Random { seed, requests, longest, flush_every, reads } => {
            let mut random = Random {
                chance: fastrand::Rng::with_seed(*seed),
                longest: longest.0.min(disk.size_bytes()),
                reads: *reads,
            };
            for number in 1..=*requests {
                random.request(disk).await?;
                if *flush_every > 0 && number.is_multiple_of(*flush_every) {
                    disk.flush().await?;
                }
            }
            Ok(())
        }
        LoadTable::Images { command, block } => {
            for image in make_images(command, shell).await? {
                write_what_differs(disk, &image, block.0).await?;
                disk.flush().await?;
            }
            Ok(())
        }
        LoadTable::Command { command } => shell.run("the load", command).await,
    }
}

struct Random {
    chance: fastrand::Rng,
    longest: u64,
    reads: u8,
}

impl Random {
    async fn request(&mut self, disk: &mut Disk) -> Result<(), String> {
        let length = self.chance.u64(1..=self.longest.div_ceil(512)) * 512;
        let length = length.min(self.longest);
        let offset = self.chance.u64(0..=(disk.size_bytes() - length) / 512) * 512;
        let short = u32::try_from(length).unwrap_or(u32::MAX);
        match self.chance.u8(0..100) {
            kind if kind < self.reads => disk.compare(offset, short).await,
            kind if kind < self.reads + ZEROES_PERCENT => disk.zero(offset, short).await,
            _ => {
                let mut data = vec![0; usize::try_from(length).unwrap_or_default()];
                self.chance.fill(&mut data);
                disk.write(offset, data).await
            }
        }
    }
}

/// The images that a command makes, in the order of their names.
async fn make_images(command: &str, shell: &Shell) -> Result<Vec<PathBuf>, String> {
    let directory = shell.directory.join(IMAGES);
    let cannot = |error| format!("cannot use {}: {error}", directory.display());
    std::fs::create_dir(&directory).map_err(cannot)?;
    shell.run("the command that makes the images", command).await?;
    let entries = std::fs::read_dir(&directory).map_err(cannot)?;
    let mut images: Vec<PathBuf> = entries
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| path.extension() == Some(OsStr::new("img")))
        .collect();
    images.sort();
    match images.is_empty() {
        true => Err(format!("the load's command has left no {IMAGES}/*.img")),
        false => Ok(images),
    }
}

/// In ascending order, a block at a time.
async fn write_what_differs(disk: &mut Disk, image: &PathBuf, block: u64) -> Result<(), String> {
    let shown = image.display();
    let wanted = std::fs::read(image).map_err(|error| format!("cannot read {shown}: {error}"))?;
    if wanted.len() as u64 != disk.size_bytes() {
        return Err(format!(
            "{shown} has {} bytes, not the volume's {}",
            wanted.len(),
            disk.size_bytes()
        ));
    }
    let block = usize::try_from(block).unwrap_or(usize::MAX);
    let mut offset = 0;
    for piece in wanted.chunks(block) {
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        if disk.content().get(start..start + piece.len()) != Some(piece) {
            disk.write(offset, piece.to_vec()).await?;
        }
        offset += piece.len() as u64;
    }
    Ok(())
}
