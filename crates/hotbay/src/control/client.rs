//! The commands' end of the control socket. It blocks: a command has nothing else to do.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use super::lines::{REPLY_BYTES_MAX, to_line};
use super::request::{ControlReply, ControlRequest};
use crate::failure::Failure;

/// A connection to a daemon.
#[derive(Debug)]
pub(crate) struct ControlClient {
    path: PathBuf,
    stream: BufReader<UnixStream>,
}

impl ControlClient {
    /// Connects to the daemon whose control socket is at `path`.
    ///
    /// # Errors
    /// Where none answers there, or it may not be asked.
    pub(crate) fn connect(path: &Path) -> Result<Self, Failure> {
        let stream = UnixStream::connect(path).map_err(|error| no_daemon(path, &error))?;
        Ok(Self { path: path.to_owned(), stream: BufReader::new(stream) })
    }

    /// Sends a request. Its answer is to be read to the end before the next one.
    ///
    /// # Errors
    /// Where the daemon has gone.
    pub(crate) fn send(&mut self, request: &ControlRequest) -> Result<(), Failure> {
        self.stream.get_mut().write_all(&to_line(request)).or_else(|error| match error.kind() {
            // It may have said why before it hung up; reading tells.
            io::ErrorKind::BrokenPipe => Ok(()),
            _ => Err(self.lost(&error.to_string())),
        })
    }

    /// The next line of the answer; a refusal is an error.
    ///
    /// # Errors
    /// Where the daemon refused, or has gone, or speaks another language.
    pub(crate) fn next(&mut self) -> Result<ControlReply, Failure> {
        let mut line = Vec::new();
        let read = (&mut self.stream).take(REPLY_BYTES_MAX as u64).read_until(b'\n', &mut line);
        read.map_err(|error| self.lost(&error.to_string()))?;
        if line.pop_if(|last| *last == b'\n').is_none() {
            return Err(self.lost("it closed the connection before it answered"));
        }
        match serde_json::from_slice(&line) {
            Ok(ControlReply::Failed { message, hint }) => {
                let failure = Failure::new(message);
                Err(hint.into_iter().fold(failure, Failure::with_hint))
            }
            Ok(reply) => Ok(reply),
            Err(error) => {
                let path = self.path.display();
                Err(Failure::new(format!("cannot read what the daemon at {path} says: {error}"))
                    .with_hint("is it another version of hotbay? compare 'hotbay --version'"))
            }
        }
    }

    /// Sends a request and gives the last line of its answer, each other one to `meanwhile`.
    ///
    /// # Errors
    /// Those of [`next`](Self::next) and of `meanwhile`.
    pub(crate) fn ask(
        &mut self,
        request: &ControlRequest,
        mut meanwhile: impl FnMut(ControlReply) -> Result<(), Failure>,
    ) -> Result<ControlReply, Failure> {
        self.send(request)?;
        loop {
            let reply = self.next()?;
            if reply.is_final() {
                return Ok(reply);
            }
            meanwhile(reply)?;
        }
    }

    fn lost(&self, why: &str) -> Failure {
        let path = self.path.display();
        Failure::new(format!("lost the daemon at {path}: {why}"))
            .with_hint("look at the daemon's log; the request may or may not have been carried out")
    }
}

fn no_daemon(path: &Path, error: &io::Error) -> Failure {
    let shown = path.display();
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
            Failure::new(format!("no hotbay daemon answers at {shown}"))
                .with_hint("start one with 'hotbay serve', or name its socket with --control")
        }
        io::ErrorKind::PermissionDenied => {
            Failure::new(format!("the daemon at {shown} may not be asked: {error}"))
                .with_hint("ask as the user that the daemon runs as, or as root")
        }
        _ => Failure::new(format!("cannot ask the daemon at {shown}: {error}")),
    }
}
