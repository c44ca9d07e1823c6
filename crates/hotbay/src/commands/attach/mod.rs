//! `hotbay attach`.

mod list;
mod resize;

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use hotbay_nbd::client::ClientError;
use hotbay_nbd::option::ReplyKind;
use hotbay_server::ListenAddress;
use rustix::io::Errno;
use uuid::Uuid;

use super::{Daemon, output, unexpected};
use crate::attach::{
    AttachLine, AttachTable, Attaching, AttachmentId, NbdDevice, NbdKernel, Resident,
    UpstreamError, Voice, connect, holder, is_given_up, pause,
};
use crate::cli::AttachArgs;
use crate::config::Environment;
use crate::control::{ControlReply, ControlRequest, Status};
use crate::failure::Failure;
use crate::nearest::nearest;

pub(super) use resize::resize;

/// How long the daemon may be away when nobody says how long.
const WAIT_FOR_DAEMON: Duration = Duration::from_secs(300);

/// How long the node of a device may take to appear.
const NODE: Duration = Duration::from_secs(5);

/// How long the kernel's look for partitions is waited for.
const PARTITIONS: Duration = Duration::from_secs(2);

/// Makes a block device of an export, and prints which when it can be used.
///
/// # Errors
/// Where the kernel or the daemon refuses; in the foreground also where the daemon stayed away for too long.
pub(crate) fn run(
    daemon: &Daemon,
    arguments: &AttachArgs,
    environment: &Environment,
) -> Result<(), Failure> {
    if arguments.list {
        return list::run(arguments.json);
    }
    must_be_root().map_err(|failure| match daemon.control() {
        // Root looks for a daemon elsewhere.
        Ok(path) => {
            failure.with_hint(format!("run it with sudo, and --control {}", path.display()))
        }
        Err(_) => failure,
    })?;
    if arguments.resize {
        return resize::run(arguments, daemon);
    }
    let table = AttachTable::read(arguments.table.as_deref())?;
    match (&arguments.export, arguments.foreground || arguments.resident) {
        (None, _) => attach_all(&table, arguments.table.as_deref(), daemon),
        (Some(export), true) => {
            let said = table.about(&export.to_string())?;
            stay(daemon, &arguments.or_as_in(said), environment)
        }
        (Some(_), false) => leave_a_resident(std::env::args_os().skip(1)),
    }
}

/// Attaches what the table has and is not attached, each with a resident of its own. One that fails is in the way of no other.
fn attach_all(table: &AttachTable, named: Option<&Path>, daemon: &Daemon) -> Result<(), Failure> {
    let mut failed = 0;
    for (export, line) in table.exports() {
        let attached = match line {
            Err(failure) => Err(failure.clone()),
            Ok(_) if is_attached(export) => Ok(()),
            Ok(_) => leave_a_resident(one_of_all(export, named, daemon)),
        };
        if let Err(failure) = attached {
            failure.tell();
            failed += 1;
        }
    }
    if failed > 0 { Err(Failure::told()) } else { Ok(()) }
}

/// Whether a device is attached to the export and somebody keeps it.
fn is_attached(export: &str) -> bool {
    NbdDevice::attached_to(export).into_iter().any(|device| holder(device).is_some())
}

/// The command line for one export of the table.
fn one_of_all(export: &str, named: Option<&Path>, daemon: &Daemon) -> Vec<OsString> {
    let mut words: Vec<OsString> = vec!["attach".into(), export.into()];
    let flags = [("--table", named), ("--control", daemon.control().ok().map(PathBuf::as_path))];
    for (flag, path) in flags.into_iter().filter_map(|(flag, path)| Some((flag, path?))) {
        words.extend([flag.into(), path.into()]);
    }
    words
}

impl AttachArgs {
    /// The same, with what the table says where the command line says nothing.
    fn or_as_in(&self, line: AttachLine) -> Self {
        let AttachLine { device, server, wait_for_daemon } = line;
        Self {
            device: self.device.or(device),
            server: self.server.clone().or(server),
            wait_for_daemon: self.wait_for_daemon.or(wait_for_daemon),
            ..self.clone()
        }
    }
}

/// Only the kernel's administrator may do what follows.
pub(super) fn must_be_root() -> Result<(), Failure> {
    match rustix::process::geteuid().is_root() {
        true => Ok(()),
        false => Err(Failure::new("only root may attach and detach block devices")
            .with_hint("run it with sudo")),
    }
}

/// Runs a command line as the resident, and returns when that has a device, or has failed.
fn leave_a_resident(words: impl IntoIterator<Item = OsString>) -> Result<(), Failure> {
    let cannot = |error: io::Error| Failure::new(format!("cannot start the resident: {error}"));
    let mut resident = Command::new("/proc/self/exe");
    let name = std::env::args_os().next().unwrap_or_else(|| "hotbay".into());
    resident.arg0(name).args(words).arg("--resident");
    let mut resident =
        resident.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().map_err(cannot)?;
    let mut line = String::new();
    if let Some(output) = resident.stdout.take() {
        BufReader::new(output).read_line(&mut line).map_err(cannot)?;
    }
    if !line.is_empty() {
        return output::print(&line);
    }
    let ended = resident.wait().map_err(cannot)?;
    Err(match ended.code() {
        Some(1) => Failure::told(),
        _ => Failure::new(format!("the resident ended early: {ended}")),
    })
}

/// Attaches, tells, and keeps the device until it is detached.
fn stay(daemon: &Daemon, arguments: &AttachArgs, environment: &Environment) -> Result<(), Failure> {
    let resident = attach(daemon, arguments, environment)?;
    let device = resident.device();
    let shown = node_is_there(device).and_then(|()| {
        look_for_partitions(device);
        device.announce();
        output::print_line(device)
    });
    if let Err(failure) = shown {
        resident.undo();
        return Err(failure);
    }
    // Whoever started it may not listen; it is not needed for anything.
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
    if arguments.resident {
        leave_the_terminal()
            .map_err(|error| Failure::new(format!("cannot leave the terminal: {error}")))?;
    }
    resident.keep().map_err(|error| Failure::new(format!("{device}: {error}")))
}

/// The command returns, the process stays, and must keep neither the terminal nor a directory busy.
fn leave_the_terminal() -> io::Result<()> {
    // Fails where it leads a session already, which is as well.
    let _ = rustix::process::setsid();
    std::env::set_current_dir("/")?;
    let null = std::fs::OpenOptions::new().read(true).write(true).open("/dev/null")?;
    rustix::stdio::dup2_stdin(&null)?;
    rustix::stdio::dup2_stdout(&null)?;
    rustix::stdio::dup2_stderr(&null)?;
    Ok(())
}

fn attach(
    daemon: &Daemon,
    arguments: &AttachArgs,
    environment: &Environment,
) -> Result<Resident, Failure> {
    let kernel = NbdKernel::open().map_err(|error| no_client(&error))?;
    let export = arguments.export.as_ref().map(ToString::to_string).unwrap_or_default();
    let device = arguments.device.or_else(|| orphan(&export));
    let wait = arguments.wait_for_daemon.unwrap_or(WAIT_FOR_DAEMON);
    let occupied = device.filter(|device| device.is_attached());
    let earlier = occupied.map(|device| may_be_taken_over(device, &export)).transpose()?;
    let server = match (&arguments.server, &earlier) {
        (Some(server), _) => server.clone().absolute(&environment.current),
        (None, Some(earlier)) => earlier.server.clone(),
        (None, None) => listen_address(&status(daemon)?, environment)?,
    };
    let link = connect(&server, &export).map_err(|error| no_link(&error, &export, daemon))?;
    let voice = if arguments.foreground { Voice::StandardError } else { Voice::KernelLog };
    let content = link.content;
    let fresh = AttachmentId { nonce: Uuid::new_v4(), content, export, server };
    let id = earlier.unwrap_or(fresh);
    if id.content != content {
        let device = device.map(|device| device.to_string()).unwrap_or_default();
        return Err(Failure::new(format!(
            "{device} is attached to another content of {}",
            id.export
        ))
        .with_hint(format!("'hotbay detach {device}' first")));
    }
    let attaching = Attaching { kernel, id, link, wait, voice };
    match occupied {
        Some(device) => Resident::take_over(attaching, device),
        None => Resident::attach(attaching, device),
    }
    .map_err(|error| not_attached(&error, device))
}

/// The device of this export that has lost its resident: who names no device means that one.
fn orphan(export: &str) -> Option<NbdDevice> {
    let lost = |device: &NbdDevice| {
        let given_up = device.attachment().is_some_and(|id| is_given_up(*device, id.nonce));
        holder(*device).is_none() && !given_up
    };
    NbdDevice::attached_to(export).into_iter().find(lost)
}

/// An attached device that has lost its resident may get another one.
fn may_be_taken_over(device: NbdDevice, export: &str) -> Result<AttachmentId, Failure> {
    let busy = |by: String| {
        Failure::new(format!("{device} is in use: {by}"))
            .with_hint("name no device to get one that is free, or 'hotbay detach' it")
    };
    let id = device.attachment().ok_or_else(|| busy("another program attached it".to_owned()))?;
    if let Some(pid) = holder(device) {
        return Err(busy(format!("{} is attached to it, by process {pid}", id.export)));
    }
    if is_given_up(device, id.nonce) {
        return Err(Failure::new(format!(
            "{device} was disconnected, and somebody still has it open"
        ))
        .with_hint("unmount it: its requests have failed"));
    }
    match id.export == export {
        true => Ok(id),
        false => Err(busy(format!("{} is attached to it", id.export))),
    }
}

/// The drive and its volumes.
pub(super) fn status(daemon: &Daemon) -> Result<Status, Failure> {
    match daemon.connect()?.ask(&ControlRequest::Status { volume: None }, |_| Ok(()))? {
        ControlReply::Status(status) => Ok(status),
        other => Err(unexpected(&other)),
    }
}

/// Where the daemon of this machine is to be reached: by a Unix socket where it has one.
fn listen_address(status: &Status, environment: &Environment) -> Result<ListenAddress, Failure> {
    let addresses =
        status.listen.iter().filter_map(|address| address.parse::<ListenAddress>().ok());
    let best = addresses.min_by_key(|address| matches!(address, ListenAddress::Tcp { .. }));
    let address = best.ok_or_else(|| {
        Failure::new("the daemon tells no address that can be used")
            .with_hint("name one with --server unix:PATH or --server tcp:HOST:PORT")
    })?;
    Ok(match address.absolute(&environment.current) {
        ListenAddress::Tcp { host, port } => ListenAddress::Tcp { host: reachable(host), port },
        unix @ ListenAddress::Unix(_) => unix,
    })
}

/// Who listens everywhere is to be found here too.
fn reachable(host: String) -> String {
    match host.as_str() {
        "0.0.0.0" => "127.0.0.1".to_owned(),
        "::" => "::1".to_owned(),
        _ => host,
    }
}

fn node_is_there(device: NbdDevice) -> Result<(), Failure> {
    let until = std::time::Instant::now() + NODE;
    while !device.path().exists() {
        if std::time::Instant::now() >= until {
            return Err(Failure::new(format!(
                "the kernel has {device}, but there is no such file"
            ))
            .with_hint("mount devtmpfs on /dev, or make the node with mknod"));
        }
        pause(Duration::from_millis(20));
    }
    Ok(())
}

/// Lets the kernel look for partitions, which it does when a device is opened first; so that they are there when the
/// command has returned. Where the medium is away the look may wait for it: nothing else waits for the look then.
fn look_for_partitions(device: NbdDevice) {
    let (looked, until_looked) = mpsc::channel();
    std::thread::spawn(move || {
        // A device that cannot be opened has no partitions; whoever wants to use it finds out why.
        drop(File::open(device.path()));
        // Nobody waits any more where this comes late.
        let _ = looked.send(());
    });
    let _ = until_looked.recv_timeout(PARTITIONS);
}

fn no_client(error: &io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::NotFound => {
            Failure::new("the kernel's NBD client is not loaded").with_hint("modprobe nbd")
        }
        _ => Failure::new(format!("cannot ask the kernel's NBD client: {error}")),
    }
}

fn not_attached(error: &io::Error, device: Option<NbdDevice>) -> Failure {
    let shown = device.map_or_else(|| "a device".to_owned(), |device| device.to_string());
    match Errno::from_io_error(error) {
        Some(Errno::BUSY) => Failure::new(format!("{shown} is in use"))
            .with_hint("name no device to get one that is free"),
        Some(Errno::PERM) => Failure::new(format!("the kernel does not let you attach {shown}"))
            .with_hint("it takes the capability CAP_SYS_ADMIN"),
        Some(Errno::WOULDBLOCK) => Failure::new(format!("{shown} still has a resident"))
            .with_hint("'hotbay attach --list' shows it"),
        _ => Failure::new(format!("cannot attach {shown}: {error}")),
    }
}

fn no_link(error: &UpstreamError, export: &str, daemon: &Daemon) -> Failure {
    match error {
        UpstreamError::Negotiation {
            source: ClientError::Refused { kind: ReplyKind::UNKNOWN, .. },
            address,
        } => {
            let failure = Failure::new(format!("there is no export {export} at {address}"));
            let known = status(daemon).map(|status| status.volumes).unwrap_or_default();
            let mut names: Vec<&str> = known.iter().map(|volume| volume.export.as_str()).collect();
            names.dedup();
            match nearest(export, names.iter().copied()) {
                Some(meant) => failure.with_hint(format!("did you mean {meant}?")),
                None if names.is_empty() => failure,
                None => failure.with_hint(format!("there are {}", names.join(", "))),
            }
        }
        UpstreamError::Io { .. } => Failure::new(error.to_string())
            .with_hint("is the daemon running? 'hotbay status' asks it"),
        UpstreamError::Unknown { .. } => Failure::new(error.to_string())
            .with_hint("only exports of hotbay can be attached; others with nbd-client"),
        UpstreamError::Negotiation { .. } => Failure::new(error.to_string()),
    }
}
