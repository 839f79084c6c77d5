//! `cargo xtask`: set-up, the whole pipeline, every test, the benches. It starts the programs and
//! links no sky crate.
#![forbid(unsafe_code)]

mod artifacts;
mod bench;
mod build;
mod deny;
mod docs;
mod examples;
mod fetch;
mod gpu;
mod process;
mod receipt;
mod repro;
mod setup;
mod stages;
mod test;
mod wheel;
mod workspace;

use std::{ffi::OsString, fmt, path::PathBuf, process::ExitCode};

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::workspace::Workspace;

/// Everything this workspace does beyond `cargo build`.
///
/// Two commands tell the whole story: `cargo xtask repro` runs the pipeline on a real model and
/// prints the scores; `cargo xtask test` runs every test. Both begin with `cargo xtask setup`,
/// which keeps what they need in one cache folder (SKY_HOME, default `.sky`).
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Options {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Fetch libtorch, the Python guest, the tiny model and HumanEval: 0.7 GB, pinned and checked
    /// by SHA-256.
    Setup {
        /// Only say what is there, reading every byte; exit code 1 when something is missing or
        /// damaged.
        #[arg(long)]
        check: bool,
        /// Also libtorch with CUDA and NVIDIA's libraries, into a folder of its own: 2.5 GB more.
        #[arg(long)]
        cuda: bool,
    },
    /// Run a recipe from problems to report. Stages that are done are skipped; a stage that was cut
    /// short resumes.
    Repro(repro::Options),
    /// Run every test of the workspace, then every example, and print the slowest suites.
    Test {
        /// Run the unit tests of the libraries alone: no training, no pipeline, no examples.
        #[arg(long)]
        quick: bool,
    },
    /// Check licences, duplicate versions and sources of the dependencies against deny.toml,
    /// offline.
    Deny,
    /// Run a bench of `benches/`, peers and all; without a name, list them.
    Bench {
        /// A folder of `benches/`.
        name: Option<String>,
        /// Handed to the bench.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
    /// Check the trainer on this machine's GPUs and measure it (not yet run on any); fetches the
    /// CUDA build of libtorch. Exit code 2 without a GPU.
    GpuCheck {
        /// Instead pack the checks into this .tar.gz, for a machine that has a GPU and Python's
        /// torch 2.11.0 but no Rust.
        #[arg(long, value_name = "FILE")]
        pack: Option<PathBuf>,
        /// Replace the file.
        #[arg(long, requires = "pack")]
        force: bool,
    },
    /// Build the Python wheel `sky-verify` in target/wheels, with a pinned maturin in a venv under
    /// SKY_HOME.
    Wheel,
    /// Write the command-line pages of `docs/reference/` from the programs' `--help`.
    Docs {
        /// Only compare; exit code 1 when a page differs.
        #[arg(long)]
        check: bool,
    },
    /// Become a program that ends when its parent does.
    #[command(hide = true)]
    DieWithParent {
        parent: u32,
        program: PathBuf,
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
}

/// An end with an exit code of its own: 2 for what the user typed or wrote.
#[derive(Debug)]
struct Exit {
    code: u8,
    /// Nothing when a child has said it already.
    message: Option<String>,
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message.as_deref().unwrap_or_default())
    }
}

impl std::error::Error for Exit {}

impl Exit {
    fn user(message: impl Into<String>) -> anyhow::Error {
        Self {
            code: 2,
            message: Some(message.into()),
        }
        .into()
    }

    fn failed(message: impl Into<String>) -> anyhow::Error {
        Self {
            code: 1,
            message: Some(message.into()),
        }
        .into()
    }
}

fn main() -> ExitCode {
    let Err(error) = run(sky_cli::parse::<Options>().command) else {
        return ExitCode::SUCCESS;
    };
    let exit = error.downcast_ref::<Exit>();
    if exit.is_none_or(|exit| exit.message.is_some()) {
        eprintln!("error: {}", format!("{error:#}").replace('\n', " "));
    }
    ExitCode::from(exit.map_or(1, |exit| exit.code))
}

fn run(command: Command) -> Result<()> {
    let workspace = Workspace::find()?;
    match command {
        Command::Setup { check: false, cuda } => setup::run(&workspace, cuda),
        Command::Setup { check: true, cuda } => {
            if setup::check(&workspace, cuda)? {
                return Ok(());
            }
            Err(Exit {
                code: 1,
                message: None,
            }
            .into())
        }
        Command::Repro(options) => repro::run(&workspace, &options),
        Command::Test { quick } => test::run(&workspace, quick),
        Command::Deny => deny::run(&workspace),
        Command::Bench { name, arguments } => bench::run(&workspace, name.as_deref(), &arguments),
        Command::GpuCheck { pack: None, .. } => gpu::run(&workspace),
        Command::GpuCheck {
            pack: Some(file),
            force,
        } => gpu::pack::run(&workspace, &file, force),
        Command::Wheel => wheel::run(&workspace),
        Command::Docs { check } => docs::run(&workspace, check),
        Command::DieWithParent {
            parent,
            program,
            arguments,
        } => process::become_child(parent, &program, &arguments),
    }
}
