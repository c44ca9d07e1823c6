//! hotbay: a drive whose media may be pulled, returned and exchanged under a mounted file system.
//!
//! This crate carries no request of an NBD client and keeps no data: it is the one binary that puts the other
//! crates together. `hotbay serve` is the daemon, all other commands ask it over its control socket
//! ([`control`]). Only here are the environment, the configuration file, signals and the terminal known.

mod activation;
mod arrangement;
mod assemble;
mod attach;
mod bounded_command;
mod changer;
mod cli;
mod commands;
mod config;
mod control;
#[cfg(test)]
mod corpus;
mod demo;
mod device_watch;
mod directory;
mod export_terms;
mod exports;
mod failure;
mod handler;
mod hook_tasks;
mod hooks;
mod http;
mod logging;
mod mirror_record;
mod nbd_stream;
mod nearest;
mod records;
mod run;
mod scenario;
mod service;
mod signals;
mod volume_changes;
mod welcome;

use std::process::ExitCode;

use clap::Parser as _;

use crate::arrangement::Origin;
use crate::cli::{Cli, Command};
use crate::commands::Daemon;
use crate::config::Environment;
use crate::failure::Failure;

fn main() -> ExitCode {
    match dispatch(Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.tell(),
    }
}

fn dispatch(cli: Cli) -> Result<(), Failure> {
    let environment = Environment::of_process()?;
    let daemon = Daemon::new(cli.control.clone(), &environment);
    match cli.command {
        Command::Serve(arguments) => {
            let (file, overrides) = arguments.overrides(cli.control);
            let config = config::load(file.as_deref(), overrides.clone(), &environment)?;
            logging::start();
            run::serve(config, Origin { file, overrides, environment })
        }
        Command::Status(arguments) => commands::status::run(&daemon, &arguments),
        Command::Top => commands::top::run(&daemon),
        Command::Insert(arguments) => commands::insert::run(&daemon, arguments, &environment),
        Command::Eject(arguments) => commands::eject::run(&daemon, &arguments),
        Command::Pull(arguments) => commands::pull::run(&daemon, &arguments),
        Command::Scrub(arguments) => commands::scrub::run(&daemon, &arguments),
        Command::Swap(arguments) => commands::swap::run(&daemon, arguments, &environment),
        Command::Resolve(arguments) => commands::resolve::run(&daemon, arguments, &environment),
        Command::Fault(arguments) => commands::fault::run(&daemon, &arguments),
        Command::Volume(arguments) => {
            commands::volume::run(&daemon, arguments.command, &environment)
        }
        Command::Reload => commands::reload::run(&daemon),
        Command::Wait(arguments) => commands::wait::run(&daemon, &arguments),
        Command::Events(arguments) => commands::events::run(&daemon, &arguments),
        Command::Attach(arguments) => commands::attach::run(&daemon, &arguments, &environment),
        Command::Detach(arguments) => commands::detach::run(&arguments),
        Command::Journal(arguments) => commands::journal::run(arguments, &environment),
        Command::CheckConfig(arguments) => commands::check_config::run(&arguments, &environment),
        Command::Doctor(arguments) => commands::doctor::run(&daemon, arguments, &environment),
        Command::Owner(arguments) => commands::owner::run(&arguments, &environment),
        Command::Tls(arguments) => commands::tls::run(arguments.command),
        Command::Completions(arguments) => commands::reference::completions(&arguments),
        Command::Man(arguments) => commands::reference::man(&arguments),
        Command::Demo => demo::run(),
        Command::Scenario(arguments) => scenario::run(arguments.command),
        Command::Bench(arguments) => commands::bench::run(&arguments),
    }
}
