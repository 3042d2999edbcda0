//! `signpost check`

use std::{collections::BTreeSet, path::PathBuf};

use ::config::{Document, Errors, Problem};
use clap::Args;
use registry::sources;

use super::{Failure, block_on, client::Client, complain, say};
use crate::{Config, environment};

/// Check a configuration file
#[derive(Debug, Args)]
pub(super) struct Check {
    /// The configuration
    file: PathBuf,
    /// Compare the routes with the services of the running server, too
    #[arg(long)]
    live: bool,
    #[command(flatten)]
    client: Client,
}

impl Check {
    pub(super) fn run(self) -> Result<(), Failure> {
        let failed = |errors: Errors| Failure::failed(errors.to_string());
        let document = Document::load(&self.file, &environment()).map_err(failed)?;
        let config = Config::from_document(&document).map_err(failed)?;
        for warning in config.warnings() {
            complain(&format!("warning: {}", document.locate(&warning)));
        }
        let mut problems = Vec::new();
        let mut known = files(&config, &mut problems);
        if self.live {
            known = Some(self.live_services()?);
        }
        match known {
            Some(known) => {
                let dangling = config.proxy.dangling(|name| known.contains(name.as_str()));
                problems.extend(dangling.into_iter().map(|one| one.within("proxy")));
            }
            None if config.proxy.routes.is_empty() => {}
            None => complain(
                "note: whether a service stands behind each route is known only to a running \
                 server; check with --live",
            ),
        }
        if problems.is_empty() {
            return say(&format!("{}: ok", self.file.display()));
        }
        let located: Errors = problems
            .iter()
            .map(|problem| document.locate(problem))
            .collect();
        Err(failed(located))
    }

    fn live_services(&self) -> Result<BTreeSet<String>, Failure> {
        let list = block_on(self.client.get("/v1/services"))?;
        let services = list["services"].as_array().into_iter().flatten();
        let names = services.filter_map(|service| service["name"].as_str());
        Ok(names.map(str::to_owned).collect())
    }
}

/// Reads the services of file sources, and finds what is wrong with these files.
///
/// Returns `None` when there are other sources, whose services can't be known from here.
fn files(config: &Config, problems: &mut Vec<Problem>) -> Option<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    let mut all = true;
    for (name, source) in &config.sources {
        let sources::Config::File(file) = source else {
            all = false;
            continue;
        };
        let key = format!("sources.{name}.file.path");
        match file.read() {
            Ok((entries, refused)) => {
                names.extend(entries.iter().map(|entry| entry.service.to_string()));
                problems.extend(refused.into_iter().map(|refusal| {
                    Problem::new(&key, format!("{}: {}", refusal.key, refusal.reason))
                }));
            }
            Err(error) => problems.push(Problem::new(key, error.to_string())),
        }
    }
    all.then_some(names)
}
