//! `signpost drain`

use std::{fmt::Write, str::FromStr, time::Duration};

use clap::Args;
use http::Method;
use proxy::{DrainPhase, DrainState};
use registry::{InstanceId, ServiceName};
use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::{Failure, Output, OutputArgs, block_on, client::Client, say};

/// How often the server is asked what is left.
const PAUSE: Duration = Duration::from_millis(250);

/// Have an instance finish what it has and get nothing new
#[derive(Debug, Args)]
pub(super) struct Drain {
    /// The instance, as SERVICE/ID
    #[arg(value_name = "SERVICE/ID")]
    instance: Target,
    /// How long to wait until nothing is left; as long as it takes without it
    #[arg(long, value_name = "DURATION")]
    timeout: Option<config::Duration>,
    /// Start it, and don't wait
    #[arg(long, conflicts_with = "timeout")]
    no_wait: bool,
    /// Let the instance get new requests again
    #[arg(long, conflicts_with_all = ["timeout", "no_wait"])]
    undo: bool,
    #[command(flatten)]
    client: Client,
    #[command(flatten)]
    output: OutputArgs,
}

/// Names an instance on the command line.
#[derive(Debug, Clone)]
struct Target {
    service: ServiceName,
    id: InstanceId,
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (service, id) = text
            .split_once('/')
            .ok_or_else(|| format!("`{text}` is not SERVICE/ID, such as web/a"))?;
        Ok(Self {
            service: service.parse().map_err(|error| format!("{error}"))?,
            id: id.parse().map_err(|error| format!("{error}"))?,
        })
    }
}

/// Says how far it has come.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Progress {
    /// It still has something to do.
    Left(DrainState),
    /// Nothing is left.
    Done,
    /// It doesn't drain.
    Serves,
}

impl Drain {
    pub(super) fn run(self) -> Result<(), Failure> {
        let method = match self.undo {
            true => Method::DELETE,
            false => Method::POST,
        };
        block_on(async {
            let answer = self.client.request(method, &self.path()).await?;
            if self.undo {
                return self.show(&answer, "gets new requests again");
            }
            match self.no_wait {
                true => self.show(&answer, &words(progress(&answer)?)),
                false => self.follow(answer).await,
            }
        })
    }

    fn path(&self) -> String {
        let Target { service, id } = &self.instance;
        format!("/v1/services/{service}/instances/{id}/drain")
    }

    /// Says what is left, each time that it changes, until nothing is.
    async fn follow(&self, mut answer: Value) -> Result<(), Failure> {
        let end = self.timeout.map(|timeout| Instant::now() + timeout.get());
        let mut said = None;
        loop {
            let now = progress(&answer)?;
            // The seconds that are left change all the time, and say nothing new.
            let news = without_seconds(now);
            if said != Some(news) {
                self.show(&answer, &words(now))?;
                said = Some(news);
            }
            match now {
                Progress::Done => return Ok(()),
                Progress::Serves => {
                    return Err(Failure::failed("somebody has let it serve again"));
                }
                Progress::Left(_) => {}
            }
            if end.is_some_and(|end| Instant::now() >= end) {
                return Err(Failure::unclean("not everything has finished in time"));
            }
            sleep(PAUSE).await;
            let Some(next) = self.client.find(&self.path()).await? else {
                return self.gone();
            };
            answer = next;
        }
    }

    fn show(&self, answer: &Value, words: &str) -> Result<(), Failure> {
        let Target { service, id } = &self.instance;
        match self.output.output {
            Output::Json => say(&answer.to_string()),
            Output::Table => say(&format!("{service}/{id}: {words}")),
        }
    }

    /// Says that the instance is gone, and has nothing to do.
    fn gone(&self) -> Result<(), Failure> {
        let Target { service, id } = &self.instance;
        let answer = serde_json::json!({ "service": service, "id": id, "state": null });
        self.show(&answer, "gone; nothing is left")
    }
}

/// Reads how far an instance has come.
fn progress(answer: &Value) -> Result<Progress, Failure> {
    let drain: Option<DrainState> = serde_json::from_value(answer["drain"].clone())
        .map_err(|error| Failure::failed(format!("the answer can't be read: {error}")))?;
    Ok(match drain {
        Some(drain) if drain.phase == DrainPhase::Done => Progress::Done,
        Some(drain) => Progress::Left(drain),
        None if answer["state"] == "up" => Progress::Serves,
        // Starting or down, it gets nothing in any case.
        None => Progress::Done,
    })
}

fn without_seconds(progress: Progress) -> Progress {
    match progress {
        Progress::Left(state) => Progress::Left(DrainState {
            seconds_left: None,
            ..state
        }),
        other => other,
    }
}

fn words(progress: Progress) -> String {
    let state = match progress {
        Progress::Done => return "nothing is left".to_owned(),
        Progress::Serves => return "gets requests".to_owned(),
        Progress::Left(state) => state,
    };
    let mut words = match state.phase {
        DrainPhase::Dns => "DNS tells it no more, clients may still know it",
        DrainPhase::Finishing | DrainPhase::Done => "gets nothing new, finishes what it has",
    }
    .to_owned();
    if let Some(seconds) = state.seconds_left {
        // Writing to a string can't fail.
        write!(words, " (for {:.0} s at the most)", seconds.ceil()).ok();
    }
    let (requests, tunnels) = (state.requests, state.tunnels);
    write!(words, "; requests {requests}, tunnels {tunnels}").ok();
    words
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_left_is_said_in_words() {
        let drain = json!({"phase": "dns", "seconds_left": 3.2, "requests": 2, "tunnels": 1});
        let answer = json!({"state": "draining", "drain": drain});
        assert_eq!(
            words(progress(&answer).unwrap()),
            "DNS tells it no more, clients may still know it (for 4 s at the most); \
             requests 2, tunnels 1"
        );
        let down = json!({"state": "down", "drain": null});
        assert_eq!(progress(&down).unwrap(), Progress::Done);
        let up = json!({"state": "up", "drain": null});
        assert_eq!(progress(&up).unwrap(), Progress::Serves);
    }

    #[test]
    fn an_instance_is_named_by_its_service_and_its_id() {
        assert!("web".parse::<Target>().is_err());
        assert!("web/a/b".parse::<Target>().is_err());
        let target: Target = "a.web/i1".parse().unwrap();
        assert_eq!(
            (target.service.as_str(), target.id.as_str()),
            ("a.web", "i1")
        );
    }
}
