//! A volume as one session sees it.
//!
//! A handle belongs to one content of the volume. Once another content is put in its place every request of
//! the handle fails: what a client has in its cache of the earlier content must not land in the new one.

use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::task::{Context, Poll, Waker};

use arc_swap::Guard;
use hotbay_block::{
    BoxFuture, Device, DeviceInfo, Error, ErrorKind, Execution, Extent, Reply, Request, Result,
    Status,
};

use crate::attachment::Attachment;
use crate::errand::Errand;
use crate::map::map;
use crate::on_journal;
use crate::on_medium::{self, Begun, Stage};
use crate::patience::Patience;
use crate::room::NoRoom;
use crate::route::{Path, Route};
use crate::state::State;
use crate::volume::Volume;

/// What became of a request on one route.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// It is answered.
    Answer(Result<Reply>),
    /// The route is being left: this (it, or what remains of it) is to be carried out on the next one.
    Moved(Request),
    /// It needs the medium, which is away.
    NeedsMedium(Request),
    /// It needs room in the journal.
    NeedsRoom(Request, NoRoom),
    /// What was retained has to be in the journal first.
    Behind(Request),
}

#[derive(Debug)]
struct Handle {
    volume: Arc<Volume>,
    content: u64,
    /// When it was opened.
    size_bytes: u64,
}

impl Volume {
    /// The volume as a device for one session.
    #[must_use]
    pub fn open(self: &Arc<Self>) -> Arc<dyn Device> {
        let route = self.route.load();
        let (content, size_bytes) = (route.content, route.size_bytes);
        self.handles.fetch_add(1, SeqCst);
        Arc::new(Handle { volume: Arc::clone(self), content, size_bytes })
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.volume.handles.fetch_sub(1, SeqCst);
    }
}

impl Device for Handle {
    /// Its size grows with the volume, and never becomes that of another content.
    fn info(&self) -> DeviceInfo {
        let route = self.volume.route.load();
        let is_mine = route.content == self.content;
        DeviceInfo {
            size_bytes: if is_mine { route.size_bytes } else { self.size_bytes },
            preferred_block_bytes: 4096,
            read_only: false,
            rotational: false,
        }
    }

    fn execute(&self, request: Request) -> Execution {
        let route = self.volume.route.load();
        let start = match &route.path {
            Path::Medium(attachment) if route.content == self.content => {
                match on_medium::begin(&self.volume, attachment, request) {
                    Begun::Answered(answer) => return Execution::Done(answer),
                    Begun::NotYet(request) => Start::Fresh(request),
                    Begun::There(errand, stage) => {
                        Start::OnMedium { route: Guard::into_inner(route), errand, stage }
                    }
                }
            }
            _ => Start::Fresh(request),
        };
        let mut future: BoxFuture<'static, Result<Reply>> =
            Box::pin(carry_out(Arc::clone(&self.volume), self.content, start));
        // The journal answers many at the first poll. A later poll by a task replaces this waker.
        match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(answer) => Execution::Done(answer),
            Poll::Pending => Execution::Later(future),
        }
    }

    fn status(&self, extent: Extent, most: usize) -> BoxFuture<'static, Result<Vec<Status>>> {
        Box::pin(map(Arc::clone(&self.volume), self.content, extent, most))
    }

    fn exchanged(&self) -> BoxFuture<'static, ()> {
        let (volume, mine) = (Arc::clone(&self.volume), self.content);
        Box::pin(async move {
            volume.contents.until(|content| content != mine).await;
        })
    }
}

/// How far a request has come before it has to wait.
enum Start {
    Fresh(Request),
    /// It is at the medium to which this route leads.
    OnMedium {
        route: Arc<Route>,
        errand: Errand<Arc<Attachment>>,
        stage: Stage,
    },
}

async fn carry_out(volume: Arc<Volume>, content: u64, start: Start) -> Result<Reply> {
    let mut patience = Patience::new(&volume);
    let mut request = match start {
        Start::Fresh(request) => request,
        Start::OnMedium { route, errand, stage } => {
            let outcome = on_medium::go_on(&volume, errand, stage).await;
            match next(&volume, &mut patience, &route, outcome).await? {
                Next::Answer(reply) => return Ok(reply),
                Next::Again(rest) => rest,
            }
        }
    };
    loop {
        let route = volume.route.load_full();
        if route.content != content {
            return Err(exchanged());
        }
        let outcome = match &route.path {
            Path::Closed => return Err(closed(&volume)),
            Path::Medium(attachment) => on_medium::execute(&volume, attachment, request).await,
            Path::Journal { gate, under } => {
                on_journal::execute(&volume, gate, under.as_ref(), request).await
            }
        };
        request = match next(&volume, &mut patience, &route, outcome).await? {
            Next::Answer(reply) => return Ok(reply),
            Next::Again(rest) => rest,
        };
    }
}

/// What comes after an outcome that is no error.
enum Next {
    Answer(Reply),
    Again(Request),
}

/// Waits for what a request needs that came by this route.
async fn next(
    volume: &Volume,
    patience: &mut Patience<'_>,
    route: &Arc<Route>,
    outcome: Outcome,
) -> Result<Next> {
    Ok(Next::Again(match outcome {
        Outcome::Answer(answer) => return answer.map(Next::Answer),
        Outcome::Moved(rest) => patience.until_routed_elsewhere(route).await.map(|()| rest)?,
        Outcome::NeedsMedium(rest) => {
            let waited = patience.until_medium_is_in(route).await;
            waited.map_err(|error| on_journal::at_first_missing(volume, &rest, error))?;
            rest
        }
        Outcome::NeedsRoom(rest, lack) => {
            patience.until_there_is_room(route, &lack).await.map(|()| rest)?
        }
        Outcome::Behind(rest) => patience.until_backlog_is_in(route).await.map(|()| rest)?,
    }))
}

pub(crate) fn exchanged() -> Error {
    Error::new(ErrorKind::ShuttingDown, "another content was put in place")
}

pub(crate) fn closed(volume: &Volume) -> Error {
    if volume.state() != State::Failed {
        return Error::new(ErrorKind::ShuttingDown, "the daemon is being stopped");
    }
    let why = volume.notes.lock().last_loss.clone().unwrap_or_default();
    Error::new(ErrorKind::PreviousFailure, format!("volume {} has failed: {why}", volume.name()))
}
