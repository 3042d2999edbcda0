//! What one worker counts for services, and how often it may still repeat requests to them.

use std::{
    cell::{Cell, RefCell},
    collections::{HashMap, HashSet},
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use foldhash::fast::RandomState;
use registry::ServiceName;
use tokio::time::Instant;

use crate::{
    Retries, RouteTable,
    metrics::{Count, Metrics, Tally},
};

/// How long retries are remembered.
const WINDOW: Duration = Duration::from_secs(10);

/// Keeps the accounts of one worker.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    accounts: RefCell<HashMap<ServiceName, Rc<Account>, RandomState>>,
    routes: RefCell<HashMap<Arc<str>, Rc<RouteAccount>, RandomState>>,
}

/// Counts the requests that one route was for.
#[derive(Debug)]
pub(crate) struct RouteAccount {
    pub(crate) label: Arc<str>,
    pub(crate) tally: Arc<Tally>,
}

/// Follows the requests to one service.
#[derive(Debug)]
pub(crate) struct Account {
    pub(crate) tally: Arc<Tally>,
    budget: Budget,
}

/// Lets one request take from the budget of its service.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Allowance<'a> {
    account: &'a Account,
    retries: &'a Retries,
    /// Counts what was refused.
    refused: &'a Count,
}

/// Bounds retries by a share of requests, so that a service that fails doesn't get a multiple of
/// its load on top.
#[derive(Debug)]
struct Budget {
    since: Cell<Instant>,
    /// How many requests there had been when the window began.
    requests_then: Cell<u64>,
    /// How many requests the window before had.
    requests_before: Cell<u64>,
    retries: Cell<u64>,
}

impl Ledger {
    /// Returns the account of a service, a new one where there is none.
    pub(crate) fn account(&self, service: &ServiceName, metrics: &Metrics) -> Rc<Account> {
        let mut accounts = self.accounts.borrow_mut();
        if let Some(account) = accounts.get(service) {
            return Rc::clone(account);
        }
        let account = Rc::new(Account {
            tally: metrics.services.tally([service.as_str().into()]),
            budget: Budget::new(Instant::now()),
        });
        accounts.insert(service.clone(), Rc::clone(&account));
        account
    }

    /// Returns the account of a route, a new one where there is none.
    pub(crate) fn route(&self, label: &Arc<str>, metrics: &Metrics) -> Rc<RouteAccount> {
        let mut routes = self.routes.borrow_mut();
        if let Some(account) = routes.get(label) {
            return Rc::clone(account);
        }
        let account = Rc::new(RouteAccount {
            label: Arc::clone(label),
            tally: metrics.routes.tally([Arc::clone(label)]),
        });
        routes.insert(Arc::clone(label), Rc::clone(&account));
        account
    }

    /// Has the budgets follow the time.
    pub(crate) fn turn(&self, now: Instant) {
        for account in self.accounts.borrow().values() {
            account.budget.turn(now, account.tally.requests());
        }
    }

    /// Closes the accounts of services and routes that are gone.
    pub(crate) fn sweep(&self, table: &RouteTable) {
        let mut accounts = self.accounts.borrow_mut();
        accounts.retain(|service, _| table.knows(service));
        let mut routes = self.routes.borrow_mut();
        let labels = table.routes().rules().iter().map(|rule| &rule.label);
        let labels: HashSet<_> = labels.collect();
        routes.retain(|label, _| labels.contains(label));
    }
}

impl Account {
    /// Tells whether one more request may be repeated.
    pub(crate) fn may_retry(&self, retries: &Retries) -> bool {
        self.budget.has(self.tally.requests(), retries)
    }

    /// Lends what a request may take; `refused` counts what it doesn't get.
    pub(crate) fn allowance<'a>(
        &'a self,
        retries: &'a Retries,
        refused: &'a Count,
    ) -> Allowance<'a> {
        Allowance {
            account: self,
            retries,
            refused,
        }
    }

    /// Takes one more retry from the budget; returns false where nothing is left.
    fn spend(&self, retries: &Retries) -> bool {
        let may = self.may_retry(retries);
        if may {
            self.budget.retries.set(self.budget.retries.get() + 1);
        }
        may
    }
}

impl Allowance<'_> {
    /// Takes what one more retry costs; returns false, and counts that, where nothing is left.
    pub(crate) fn take(&self) -> bool {
        let may = self.account.spend(self.retries);
        if !may {
            self.refused.add(1);
        }
        may
    }
}

impl Budget {
    fn new(now: Instant) -> Self {
        Self {
            since: Cell::new(now),
            requests_then: Cell::new(0),
            requests_before: Cell::new(0),
            retries: Cell::new(0),
        }
    }

    /// Begins another window when this one is over; `requests` are all that there ever were.
    fn turn(&self, now: Instant, requests: u64) {
        let passed = now.saturating_duration_since(self.since.get());
        if passed < WINDOW {
            return;
        }
        let within = requests.saturating_sub(self.requests_then.get());
        // A worker that was busy comes later, and has counted more.
        let before = within as f64 * WINDOW.div_duration_f64(passed);
        self.requests_before.set(before as u64);
        self.since.set(now);
        self.requests_then.set(requests);
        self.retries.set(0);
    }

    /// Tells whether there is something left; `requests` are all that there ever were.
    fn has(&self, requests: u64, retries: &Retries) -> bool {
        let within = requests.saturating_sub(self.requests_then.get());
        let basis = within.max(self.requests_before.get());
        let share = (basis as f64 * retries.budget) as u64;
        self.retries.get() < retries.budget_min.saturating_add(share)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn retries(budget: f64, budget_min: u64) -> Retries {
        Retries {
            budget,
            budget_min,
            ..Retries::default()
        }
    }

    /// Takes all that is left; returns how many retries that were.
    fn taken(budget: &Budget, requests: u64, retries: &Retries) -> u64 {
        let mut taken = 0;
        while budget.has(requests, retries) {
            budget.retries.set(budget.retries.get() + 1);
            taken += 1;
        }
        taken
    }

    #[test]
    fn retries_are_a_share_of_requests() {
        let begin = Instant::now();
        let budget = Budget::new(begin);
        let taken = |requests, after: u64| {
            budget.turn(begin + Duration::from_secs(after), requests);
            taken(&budget, requests, &retries(0.2, 3))
        };
        assert_eq!(taken(0, 0), 3, "the least");
        assert_eq!(taken(100, 1), 20, "a fifth of a hundred");
        assert_eq!(taken(100, 2), 0, "all is spent");
        assert_eq!(taken(100, 10), 23, "the window before still tells the load");
        assert_eq!(taken(100, 60), 3, "and later no more");
    }

    #[test]
    fn a_service_that_was_well_for_long_has_the_share_of_its_load() {
        let begin = Instant::now();
        let budget = Budget::new(begin);
        for second in 1..=600 {
            budget.turn(begin + Duration::from_secs(second), 50 * second);
        }
        assert_eq!(taken(&budget, 30_000, &retries(0.2, 3)), 103);
    }

    #[test]
    fn a_window_that_took_longer_counts_as_its_part() {
        let begin = Instant::now();
        let budget = Budget::new(begin);
        budget.turn(begin + Duration::from_secs(20), 1_000);
        assert_eq!(taken(&budget, 1_000, &retries(0.2, 3)), 103);
    }

    #[test]
    fn a_share_of_nothing_is_the_least() {
        let budget = Budget::new(Instant::now());
        assert!(!budget.has(1_000, &retries(0.0, 0)));
    }
}
