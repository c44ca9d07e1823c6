//! `hotbay demo`: the whole story in a minute, on this machine, without root.
//!
//! Nothing in it is pretended: the drive is the real one with real files as media, the clients are NBD sessions over a
//! Unix socket, and at the end every byte is compared, through the sessions and in the files themselves. The stick that
//! is pulled also forgets what it had not synced, as sticks do.

mod disk;
mod stage;
mod timeline;

use std::sync::Arc;
use std::time::Duration;

use hotbay_drive::WhenOccupied;
use hotbay_server::client::ClientError;
use tokio::time::{sleep, timeout};

use crate::failure::Failure;
use crate::signals::StopSignal;
use disk::CHUNK_BYTES;
use stage::Stage;
use timeline::Timeline;

/// Longer than anything in the story takes.
const PATIENCE: Duration = Duration::from_secs(20);

/// How often it is looked whether a read waits.
const LOOK_EVERY: Duration = Duration::from_millis(2);

/// The chunks that are written and synced before anything happens.
const FILLED: std::ops::Range<u64> = 0..256;
/// The chunks that are being written when the stick is pulled.
const BUSY: std::ops::Range<u64> = 64..448;
/// A chunk that only the medium has while it is away.
const COLD: u64 = 10;
/// What is written to both volumes while they share the bay.
const SHARED: std::ops::Range<u64> = 200..264;

/// Tells the story.
///
/// # Errors
/// Where a byte is not what it should be, or where the machine does not let it happen.
pub(crate) fn run() -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(format!("cannot start threads: {error}")))?;
    runtime.block_on(tell())
}

async fn tell() -> Result<(), Failure> {
    let mut stop = StopSignal::new()?;
    let stage = Stage::set_up().await?;
    let told = async {
        let timeline = Timeline::begin(Arc::clone(&stage.drive))?;
        pulled_in_mid_write(&stage, &timeline).await?;
        two_volumes_one_bay(&stage, &timeline).await?;
        compare_everything(&stage, &timeline).await?;
        Ok(timeline)
    };
    let told = tokio::select! {
        told = told => told,
        () = stop.received() => Err(Failure::new("the demonstration was interrupted")
            .with_hint("nothing of it is left behind")),
    };
    let cleared = stage.clear_away().await;
    let timeline = told?;
    cleared?;
    timeline.end()
}

async fn pulled_in_mid_write(stage: &Stage, timeline: &Timeline) -> Result<(), Failure> {
    let usb = &stage.usb;
    timeline.chapter("A stick is pulled while it is being written").await?;
    usb.write(FILLED, 1).await.map_err(|error| broken("usb", &error))?;
    usb.flush().await?;
    let remembered = stage.remember_what_is_synced(usb)?;
    timeline.say(&format!("usb holds {} of known bytes, all synced", amount(FILLED))).await?;

    let before = usb.written();
    let writer = {
        let usb = Arc::clone(usb);
        tokio::spawn(async move { usb.write(BUSY, 2).await })
    };
    usb.until_written(before + (BUSY.end - BUSY.start) / 4).await;
    stage.drive.pull("usb").await?;
    let unsynced = (usb.written() - before) * CHUNK_BYTES;
    stage.forget_what_was_not_synced(usb, &remembered)?;
    let text =
        format!("PULLED in mid-write; the stick forgets {} it had not synced", mebibytes(unsynced));
    timeline.say(&text).await?;
    let ended = writer.await.map_err(|error| Failure::new(format!("the writer died: {error}")))?;
    ended.map_err(|error| broken("usb", &error))?;
    usb.flush().await?;
    timeline
        .say(&format!("the client has noticed nothing: {} written, flushed", amount(BUSY)))
        .await?;
    usb.compare_chunks(BUSY).await?;
    timeline.say("what it wrote reads back, from the journal").await?;

    let reader = {
        let usb = Arc::clone(usb);
        tokio::spawn(async move { usb.compare_chunks(COLD..COLD + 1).await })
    };
    wish(stage, "usb").await?;
    timeline.say("a read needs the stick itself, and waits: please insert volume usb").await?;
    let journal = stage.journal_bytes("usb");
    stage.drive.insert("usb", None, WhenOccupied::Refuse).await?;
    timeline.say(&format!("inserted; {} replayed from the journal", mebibytes(journal))).await?;
    finish(reader).await?;
    timeline.say("the read that waited was answered, with no error").await?;
    usb.compare().await?;
    timeline.say("every byte of usb is right").await?;
    Ok(())
}

async fn two_volumes_one_bay(stage: &Stage, timeline: &Timeline) -> Result<(), Failure> {
    let (usb, backup) = (&stage.usb, &stage.backup);
    timeline.chapter("Two volumes share the one bay").await?;
    stage.drive.insert("backup", None, WhenOccupied::Replace).await?;
    timeline.say("backup is in, usb was ejected for it; both stay connected").await?;
    let (first, second) = tokio::join!(usb.write(SHARED, 3), backup.write(SHARED, 3));
    first.map_err(|error| broken("usb", &error))?;
    second.map_err(|error| broken("backup", &error))?;
    timeline
        .say(&format!("{} written to each: one on its medium, one in its journal", amount(SHARED)))
        .await?;

    let reader = {
        let usb = Arc::clone(usb);
        tokio::spawn(async move { usb.compare_chunks(COLD..COLD + 1).await })
    };
    wish(stage, "usb").await?;
    timeline.say("a read needs usb: please insert volume usb").await?;
    stage.drive.insert("usb", None, WhenOccupied::Replace).await?;
    finish(reader).await?;
    timeline.say("usb is in, the read is answered; backup goes on in its journal").await?;
    backup.write(SHARED, 4).await.map_err(|error| broken("backup", &error))?;
    stage.drive.insert("backup", None, WhenOccupied::Replace).await?;
    timeline.say("backup again, with what was written meanwhile").await?;
    Ok(())
}

async fn compare_everything(stage: &Stage, timeline: &Timeline) -> Result<(), Failure> {
    timeline.chapter("Every byte is compared").await?;
    stage.backup.compare().await?;
    stage.drive.eject("backup").await?;
    stage.backup.compare_image()?;
    timeline.say("backup is right, through NBD and in its file").await?;
    stage.drive.insert("usb", None, WhenOccupied::Refuse).await?;
    stage.usb.compare().await?;
    stage.drive.eject("usb").await?;
    stage.usb.compare_image()?;
    timeline.say("usb is right, through NBD and in its file").await?;
    Ok(())
}

/// Waits until a request of the volume waits for its medium.
async fn wish(stage: &Stage, volume: &str) -> Result<(), Failure> {
    let seen = async {
        while !stage.waits_for_medium(volume) {
            sleep(LOOK_EVERY).await;
        }
    };
    timeout(PATIENCE, seen)
        .await
        .map_err(|_| Failure::new(format!("no read of volume {volume} waits")))
}

async fn finish(reader: tokio::task::JoinHandle<Result<(), Failure>>) -> Result<(), Failure> {
    match timeout(PATIENCE, reader).await {
        Ok(Ok(compared)) => compared,
        Ok(Err(error)) => Err(Failure::new(format!("the reader died: {error}"))),
        Err(_) => Err(Failure::new("a read that waited for its medium was not answered")),
    }
}

fn broken(volume: &str, error: &ClientError) -> Failure {
    Failure::new(format!("a write to volume {volume} failed: {error}"))
}

fn amount(chunks: std::ops::Range<u64>) -> String {
    mebibytes((chunks.end - chunks.start) * CHUNK_BYTES)
}

fn mebibytes(bytes: u64) -> String {
    format!("{} MiB", bytes >> 20)
}
