//! `hotbay journal export`.

use std::path::Path;
use std::sync::Arc;

use hotbay_block::{Durability, Hole, Medium, Request};
use hotbay_journal::{Content, LiveExtent};
use hotbay_media::{ByteSize, MediumSpec, Shelf};

use super::kept::KeptJournal;
use crate::cli::JournalExportArgs;
use crate::commands::output::{self, human_size};
use crate::failure::Failure;

/// Writes what a journal holds to a file: a fresh one, which is sparse where the journal has nothing, or with `--onto`
/// one that is there, such as a copy of the medium.
///
/// # Errors
/// Where the journal cannot be read, or is another volume's, or the file cannot be written. A file that was begun is left as it is.
pub(super) fn run(state: &Path, arguments: &JournalExportArgs, file: &Path) -> Result<(), Failure> {
    let journal = KeptJournal::read(state, &arguments.volume.to_string())?;
    journal.must_be_its_own(state)?;
    let Some(size_bytes) = journal.size_bytes().filter(|_| !journal.extents.is_empty()) else {
        return output::print_line(format!(
            "the journal of volume {} holds nothing",
            journal.volume
        ));
    };
    if let Some(damage) = journal.damage() {
        output::print_warning(format!(
            "{damage}; what is whole is exported, and that is no state that the volume ever had"
        ));
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(format!("cannot start threads: {error}")))?;
    runtime.block_on(async {
        let target = open_target(&journal.volume, arguments, file, size_bytes).await?;
        write_all(&*target, &journal.extents).await
    })?;
    if !journal.is_as_read()? {
        let volume = &journal.volume;
        return Err(Failure::new(format!(
            "the journal of volume {volume} changed while it was exported"
        ))
        .with_hint("export it again, or stop the daemon first"));
    }
    let (live, extents) = (human_size(journal.live_bytes()), journal.extents.len());
    output::print_line(format!("{live} in {extents} extents are in {}", file.display()))
}

async fn open_target(
    volume: &str,
    arguments: &JournalExportArgs,
    file: &Path,
    size_bytes: u64,
) -> Result<Arc<dyn Medium>, Failure> {
    let name = file.display();
    if !arguments.onto && file.symlink_metadata().is_ok() {
        return Err(Failure::new(format!("{name} is there already")).with_hint(
            "name another file; or write over this one, a copy of the medium for example, with --onto",
        ));
    }
    let create = (!arguments.onto).then_some(ByteSize(size_bytes));
    let spec = MediumSpec::File { path: file.to_owned(), create };
    let target = Shelf::new()
        .open(&spec, volume)
        .await
        .map_err(|error| Failure::from_error(&format!("cannot use {name}"), &error))?;
    let found = target.info().size_bytes;
    if found != size_bytes {
        return Err(Failure::new(format!(
            "{name} has {found} bytes, and volume {volume} {size_bytes}: nothing was written"
        )));
    }
    Ok(target)
}

async fn write_all(target: &dyn Medium, extents: &[LiveExtent]) -> Result<(), Failure> {
    let requests = extents.iter().map(as_request).chain([Request::Flush]);
    for request in requests {
        let answer = target.execute(request).answer().await;
        answer.map_err(|error| {
            Failure::from_error(&format!("cannot write {}", target.name()), &error)
        })?;
    }
    Ok(())
}

fn as_request(live: &LiveExtent) -> Request {
    let (extent, durability) = (live.extent, Durability::Deferred);
    match &live.content {
        Content::Data(data) => Request::Write { extent, data: data.clone(), durability },
        Content::Zeroes | Content::Trimmed => Request::zero(extent, Hole::Allowed, durability),
    }
}
