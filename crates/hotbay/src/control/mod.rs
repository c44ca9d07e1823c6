//! How the commands talk with the daemon: one JSON value per line over a Unix socket; see `docs/control.md`.
//!
//! Here are the vocabulary ([`ControlRequest`], [`ControlReply`]), the daemon's end ([`ControlServer`], which
//! asks a [`ControlHandler`] and knows nothing of drives) and the commands' end ([`ControlClient`]).

mod client;
mod lines;
mod request;
mod server;
mod socket;

pub(crate) use client::ControlClient;
pub(crate) use request::{
    Armed, ArmedFault, ControlReply, ControlRequest, CopyStatus, Event, ExportStatus, Follow,
    HeldJournal, JournalStatus, MediumIs, Occupied, OpenSessions, OperationStatus, Progress,
    ReloadEffect, ReloadedDifference, ResolveBy, State, Status, SwapContent, VolumeStatus,
    WaitingForRoom, WhatIsFull, WhenDifferent, Work, WorkDone,
};
pub(crate) use server::{ControlHandler, ControlServer, EventSource, ProgressSink};

#[cfg(test)]
mod tests;
