//! Looks host names up, again and again, away from queries and requests.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    net::IpAddr,
    sync::Arc,
    time::Duration,
};

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
    /// When each name is due; `None` while its look-up is under way.
    names: HashMap<Arc<str>, Option<Instant>>,
    /// The same, in order.
    due: BTreeSet<(Instant, Arc<str>)>,
    /// The names whose first look-up hasn't ended.
    unknown: HashSet<Arc<str>>,
    interval: Duration,
    hosts_max: usize,
    /// Whether there are more names than that.
    full: bool,
    permits: Arc<Semaphore>,
    messages: mpsc::WeakSender<Message>,
}

impl Hosts {
    pub(crate) fn new(
        interval: Duration,
        hosts_max: usize,
        messages: mpsc::WeakSender<Message>,
    ) -> Self {
        Self {
            names: HashMap::new(),
            due: BTreeSet::new(),
            unknown: HashSet::new(),
            interval,
            hosts_max,
            full: false,
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
        self.names.retain(|name, _| in_use(name));
        self.due.retain(|(_, name)| in_use(name));
        self.unknown.retain(|name| in_use(name));
        let was_full = std::mem::take(&mut self.full);
        for name in names {
            if self.names.contains_key(name) {
                continue;
            }
            if self.names.len() >= self.hosts_max {
                self.full = true;
                break;
            }
            self.names.insert(Arc::clone(name), Some(now));
            self.unknown.insert(Arc::clone(name));
            self.due.insert((now, Arc::clone(name)));
        }
        if self.full && !was_full {
            let max = self.hosts_max;
            tracing::warn!(max, "too many host names in records (hosts_max)");
        }
    }

    /// Returns how many names haven't been looked up a first time yet.
    pub(crate) fn first_lookups(&self) -> usize {
        self.unknown.len()
    }

    /// Returns when the next name is due.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        self.due.first().map(|(at, _)| *at)
    }

    /// Starts the look-ups that are due; each answer comes as a message.
    pub(crate) fn start_due(&mut self, now: Instant) {
        while self.next_due().is_some_and(|at| at <= now) {
            if let Some((_, name)) = self.due.pop_first() {
                self.names.insert(Arc::clone(&name), None);
                self.start(name);
            }
        }
    }

    /// Notes that a look-up has ended, and when the name is due again.
    pub(crate) fn done(&mut self, name: &Arc<str>, worked: bool, now: Instant) {
        self.unknown.remove(name);
        if let Some(due) = self.names.get_mut(name)
            && due.is_none()
        {
            let wait = match worked {
                true => self.interval,
                false => self.interval.min(RETRY_AFTER),
            };
            *due = Some(now + wait);
            self.due.insert((now + wait, Arc::clone(name)));
        }
    }

    fn start(&self, name: Arc<str>) {
        let (permits, messages) = (Arc::clone(&self.permits), self.messages.clone());
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

async fn look_up(name: &str) -> Result<Vec<IpAddr>, String> {
    let found = tokio::net::lookup_host((name, 0)).await;
    let addresses = found.map_err(|error| error.to_string())?;
    Ok(addresses.map(|address| address.ip()).collect())
}
