//! `signpost import`

use std::{fs, path::PathBuf};

use clap::{Args, Subcommand};

use super::{Failure, complain, say};
use crate::compat::{Imported, import_mesos_dns};

/// Print what another program's configuration is here
#[derive(Debug, Subcommand)]
pub(super) enum Import {
    /// Print a config.json of Mesos-DNS as a configuration; what has no equivalent goes to standard error
    MesosDns(MesosDns),
}

/// Print a config.json of Mesos-DNS as a configuration
#[derive(Debug, Args)]
pub(super) struct MesosDns {
    /// The file
    file: PathBuf,
}

impl Import {
    pub(super) fn run(self) -> Result<(), Failure> {
        match self {
            Self::MesosDns(verb) => verb.run(),
        }
    }
}

impl MesosDns {
    fn run(self) -> Result<(), Failure> {
        let file = self.file.display();
        let failed = |reason: String| Failure::failed(format!("{file}: {reason}"));
        let text = fs::read_to_string(&self.file);
        let text = text.map_err(|error| failed(error.to_string()))?;
        let Imported { toml, notes } = import_mesos_dns(&text).map_err(failed)?;
        for note in notes {
            complain(&format!("{file}: {note}"));
        }
        say(toml.trim_end())
    }
}
