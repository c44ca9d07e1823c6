//! `hotbay detach`.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use rustix::fs::OFlags;
use rustix::process::{Signal, kill_process};

use super::attach::must_be_root;
use super::output;
use crate::attach::{NbdDevice, NbdKernel, holder, pause, users};
use crate::cli::DetachArgs;
use crate::failure::Failure;

/// How long the resident may take to end, and the kernel to let go.
const PATIENCE: Duration = Duration::from_secs(10);
const LOOK_AGAIN: Duration = Duration::from_millis(10);
/// When a person wants to know what it waits for.
const SLOW: Duration = Duration::from_secs(2);

/// Lets a device go, when nobody uses it and everything written to it is on its medium or in the journal.
///
/// # Errors
/// Where it is in use, cannot be flushed, or the kernel refuses: then it is attached as before.
pub(crate) fn run(arguments: &DetachArgs) -> Result<(), Failure> {
    must_be_root()?;
    let device = arguments.attached.device()?;
    if !device.exists() {
        return Err(Failure::new(format!("there is no {device}"))
            .with_hint("'hotbay attach --list' shows what is attached"));
    }
    if !device.is_attached() {
        return Err(Failure::new(format!("{device} is not attached"))
            .with_hint("'hotbay attach --list' shows what is"));
    }
    // Held until the end, so that nobody mounts it meanwhile.
    let mine = take(device)?;
    flush(device, &mine)?;
    end_resident(device)?;
    let disconnected = NbdKernel::open().and_then(|mut kernel| kernel.disconnect(device));
    disconnected.map_err(|error| Failure::new(format!("cannot detach {device}: {error}")))?;
    drop(mine);
    let quiet = wait_until_quiet(device);
    device.announce();
    quiet?;
    output::print_line(format!("{device} is detached"))
}

/// Opens the device for this process alone.
fn take(device: NbdDevice) -> Result<File, Failure> {
    let exclusive = i32::try_from(OFlags::EXCL.bits()).expect("it is one of the lower bits");
    let opened =
        OpenOptions::new().read(true).write(true).custom_flags(exclusive).open(device.path());
    let opened = match opened {
        // A read-only export is flushed as well as it can be.
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied
            ) =>
        {
            OpenOptions::new().read(true).custom_flags(exclusive).open(device.path())
        }
        other => other,
    };
    opened.map_err(|error| match error.kind() {
        io::ErrorKind::ResourceBusy => {
            let users = users(device);
            let who = if users.is_empty() {
                "by whom the kernel does not tell".to_owned()
            } else {
                users.join(", ")
            };
            Failure::new(format!("{device} is in use: {who}")).with_hint("unmount it first")
        }
        _ => Failure::new(format!("cannot open {device}: {error}")),
    })
}

/// Brings what is written to stable storage; tells when that takes long.
fn flush(device: NbdDevice, opened: &File) -> Result<(), Failure> {
    let failed = |error: io::Error| {
        Failure::new(format!("cannot flush {device}: {error}"))
            .with_hint(format!("'nbd-client -d {device}' lets it go all the same"))
    };
    let opened = opened.try_clone().map_err(failed)?;
    let (done, flushed) = mpsc::sync_channel(1);
    std::thread::spawn(move || done.send(opened.sync_all()));
    let result = flushed.recv_timeout(SLOW).or_else(|_| {
        output::print_warning(format!("still flushing {device}; is its daemon running?"));
        flushed.recv()
    });
    result.unwrap_or_else(|error| Err(io::Error::other(error))).map_err(failed)
}

/// Ends whoever would connect it again.
fn end_resident(device: NbdDevice) -> Result<(), Failure> {
    let until = Instant::now() + PATIENCE;
    let mut told = None;
    while let Some(pid) = holder(device) {
        if told != Some(pid) {
            // It may have ended by itself.
            let _ = kill_process(pid, Signal::TERM);
            told = Some(pid);
        }
        if Instant::now() >= until {
            return Err(Failure::new(format!("process {pid} does not let {device} go")));
        }
        pause(LOOK_AGAIN);
    }
    Ok(())
}

fn wait_until_quiet(device: NbdDevice) -> Result<(), Failure> {
    let until = Instant::now() + PATIENCE;
    while !device.is_quiet() {
        if Instant::now() >= until {
            return Err(Failure::new(format!(
                "{device} is disconnected, but somebody has it open"
            ))
            .with_hint(format!("it is free when that one closes it: 'fuser {device}'")));
        }
        pause(LOOK_AGAIN);
    }
    Ok(())
}
