//! Looks host names up, again and again, away from queries and requests.

use std::{collections::HashMap, net::IpAddr, sync::Arc, time::Duration};

use tokio::{
    sync::{Semaphore, mpsc},
    time::Instant,
};

use crate::source::Message;

/// How many look-ups run at a time.
const LOOKUPS_MAX: usize = 16;

/// How soon a look-up that failed is tried again, unless the interval is shorter.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// Knows when each host name is to be looked up next, and has it done.
#[derive(Debug)]
pub(crate) struct Hosts {
    next: HashMap<Arc<str>, Lookup>,
    interval: Duration,
    hosts_max: usize,
    permits: Arc<Semaphore>,
    messages: mpsc::WeakSender<Message>,
}

#[derive(Debug)]
enum Lookup {
    Due(Instant),
    UnderWay,
}

impl Hosts {
    pub(crate) fn new(
        interval: Duration,
        hosts_max: usize,
        messages: mpsc::WeakSender<Message>,
    ) -> Self {
        Self {
            next: HashMap::new(),
            interval,
            hosts_max,
            permits: Arc::new(Semaphore::new(LOOKUPS_MAX)),
            messages,
        }
    }

    /// Takes the names that are in use: new ones are due at once, those not among them are forgotten.
    pub(crate) fn keep<'a>(
        &mut self,
        names: impl Iterator<Item = &'a Arc<str>>,
        in_use: impl Fn(&str) -> bool,
        now: Instant,
    ) {
        self.next.retain(|name, _| in_use(name));
        for name in names {
            if self.next.len() >= self.hosts_max && !self.next.contains_key(name) {
                tracing::warn!(
                    max = self.hosts_max,
                    "too many host names in records (hosts_max)"
                );
                return;
            }
            self.next
                .entry(Arc::clone(name))
                .or_insert(Lookup::Due(now));
        }
    }

    /// Returns when the next name is due.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        let due = |lookup: &Lookup| match lookup {
            Lookup::Due(at) => Some(*at),
            Lookup::UnderWay => None,
        };
        self.next.values().filter_map(due).min()
    }

    /// Starts the look-ups that are due; each answer comes as a message.
    pub(crate) fn start_due(&mut self, now: Instant) {
        for (name, lookup) in &mut self.next {
            if matches!(lookup, Lookup::Due(at) if *at <= now) {
                *lookup = Lookup::UnderWay;
                let (name, permits) = (Arc::clone(name), Arc::clone(&self.permits));
                let messages = self.messages.clone();
                tokio::spawn(async move {
                    let _permit = permits.acquire_owned().await;
                    let result = look_up(&name).await;
                    if let Some(messages) = messages.upgrade() {
                        // Without a registry nobody needs the answer.
                        messages.send(Message::Resolved(name, result)).await.ok();
                    }
                });
            }
        }
    }

    /// Notes that a look-up has ended, and when the name is due again.
    pub(crate) fn done(&mut self, name: &str, worked: bool, now: Instant) {
        if let Some(lookup) = self.next.get_mut(name) {
            let wait = match worked {
                true => self.interval,
                false => self.interval.min(RETRY_AFTER),
            };
            *lookup = Lookup::Due(now + wait);
        }
    }
}

async fn look_up(name: &str) -> Result<Vec<IpAddr>, String> {
    let found = tokio::net::lookup_host((name, 0)).await;
    let addresses = found.map_err(|error| error.to_string())?;
    Ok(addresses.map(|address| address.ip()).collect())
}
