//! Devices that are plugged in and pulled out: the kernel tells of them, and the drive looks at once.

use std::io;
use std::sync::Arc;

use hotbay_drive::Drive;
use hotbay_media::DeviceNews;

/// Has the drive look whenever the kernel tells of a block device; to be run as a task and dropped at the end.
///
/// Nothing depends on it: where the kernel cannot be heard, which is told once, the drive's regular looks find the same.
pub(crate) async fn watch(drive: Arc<Drive>) {
    if !DeviceNews::is_heard_here() {
        tracing::info!(
            "the kernel tells nothing of devices in this container; media are looked for four times a second"
        );
        return;
    }
    if let Err(error) = pass_on(&drive).await {
        tracing::warn!(%error, "the kernel's news of devices cannot be heard; media are looked for four times a second");
    }
}

async fn pass_on(drive: &Drive) -> io::Result<()> {
    let news = DeviceNews::open()?;
    // What happened before there was anybody to hear it.
    drive.look_now();
    loop {
        let told = news.next().await?;
        tracing::debug!(told, "the kernel tells of a device");
        drive.look_now();
    }
}
