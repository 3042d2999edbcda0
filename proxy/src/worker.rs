//! One thread's share of the proxy.

use std::{
    cell::{Cell, RefCell},
    net::{IpAddr, SocketAddr},
    rc::{Rc, Weak},
    sync::Arc,
    time::{Duration, SystemTime},
};

use arc_swap::{ArcSwap, Cache};
use ipnet::IpNet;
use registry::ServiceName;
use tokio::{
    sync::Notify,
    time::{Instant, MissedTickBehavior, interval, timeout},
};

use crate::{
    Endpoint, RouteTable, Shared,
    access_log::{Lines, Outcome, PIECE_BYTES},
    gate::Gate,
    health,
    http::{
        Buffer,
        marks::{Ids, Marks, RequestId},
    },
    ledger::{Account, Ledger, RouteAccount},
    metrics::{Counters, Metrics},
    mirror::Mirrors,
    passwords::Passwords,
    route::rule::Rule,
    shared::{Bounds, Settings},
    splice::Pipes,
    sticky::Keys,
    upstream::{Slot, Upstreams},
};

/// The size of a buffer for what is read, in bytes; heads and bodies may make it grow.
pub(crate) const BUFFER_BYTES: usize = 16 << 10;

/// The most buffers of each kind that are kept for the next request.
const BUFFERS_MAX: usize = 256;

/// How often unused connections are looked after and log lines handed over.
const TICK: Duration = Duration::from_millis(250);

/// How often it is looked whether there may be more connections now.
const ROOM: Duration = Duration::from_millis(250);

/// Holds what the connections of one thread share, and no other thread sees.
///
/// Everything runs on the thread that made it, in a `tokio::task::LocalSet`.
#[derive(Debug)]
pub struct Worker {
    shared: Arc<Shared>,
    table: RefCell<Cache<Arc<ArcSwap<RouteTable>>, Arc<RouteTable>>>,
    settings: RefCell<Cache<Arc<ArcSwap<Settings>>, Arc<Settings>>>,
    upstreams: Upstreams,
    ledger: Ledger,
    /// The table by which endpoints that have left were looked for last.
    swept: RefCell<Option<Arc<RouteTable>>>,
    pub(crate) counters: Arc<Counters>,
    random: RefCell<fastrand::Rng>,
    ids: RefCell<Ids>,
    buffers: RefCell<Vec<Buffer>>,
    outputs: RefCell<Vec<Vec<u8>>>,
    lines: RefCell<Lines>,
    pub(crate) mirrors: Mirrors,
    pub(crate) passwords: Passwords,
    pub(crate) pipes: Pipes,
    connections: Cell<usize>,
    left: Notify,
    ticks: Cell<bool>,
    gates: RefCell<Vec<Weak<Gate>>>,
    /// How many endpoints were closed when the connections were last told.
    closed: Cell<u64>,
}

impl Worker {
    /// Creates a worker; `seed` is where its random choices begin.
    pub fn new(shared: Arc<Shared>, seed: u64) -> Rc<Self> {
        let mut random = fastrand::Rng::with_seed(seed);
        Rc::new(Self {
            ids: RefCell::new(Ids::new(random.u64(..), random.u64(..))),
            table: RefCell::new(Cache::new(Arc::clone(shared.table_cell()))),
            settings: RefCell::new(Cache::new(Arc::clone(shared.settings_cell()))),
            upstreams: Upstreams::default(),
            ledger: Ledger::default(),
            swept: RefCell::default(),
            counters: shared.metrics().worker(),
            random: RefCell::new(random),
            buffers: RefCell::default(),
            outputs: RefCell::default(),
            lines: RefCell::default(),
            mirrors: Mirrors::default(),
            passwords: Passwords::new(),
            pipes: Pipes::default(),
            connections: Cell::new(0),
            left: Notify::new(),
            ticks: Cell::new(false),
            gates: RefCell::default(),
            closed: Cell::new(0),
            shared,
        })
    }

    /// Returns how many clients are connected.
    pub fn connections(&self) -> usize {
        self.connections.get()
    }

    /// Waits until no client is connected.
    pub async fn drained(&self) {
        while self.connections.get() > 0 {
            self.left.notified().await;
        }
    }

    /// Waits until one more client may connect.
    pub(crate) async fn room(&self) {
        while self.connections.get() >= self.bounds().limits.connections {
            // A reload may make room as well.
            timeout(ROOM, self.left.notified()).await.ok();
        }
    }

    /// Has the connections of a gate told when an endpoint is closed.
    pub(crate) fn tell(&self, gate: &Rc<Gate>) {
        self.gates.borrow_mut().push(Rc::downgrade(gate));
    }

    pub(crate) fn enter(&self) {
        self.connections.set(self.connections.get() + 1);
        self.counters.connections.add(1);
        self.counters.connections_open.add(1);
    }

    pub(crate) fn leave(&self) {
        self.connections.set(self.connections.get() - 1);
        self.counters.connections_open.subtract(1);
        self.left.notify_waiters();
    }

    /// Counts what a request to an endpoint of a service has come to.
    pub(crate) fn observe(
        &self,
        service: &ServiceName,
        endpoint: &Endpoint,
        outcome: health::Outcome,
    ) {
        self.shared.observe(service, endpoint, outcome);
    }

    /// Returns a time in milliseconds, as balancers and latencies count it.
    pub(crate) fn millis(&self, time: Instant) -> u32 {
        self.shared.millis(time)
    }

    /// Reads the newest route table.
    pub(crate) fn with_table<T>(&self, read: impl FnOnce(&RouteTable) -> T) -> T {
        read(self.table.borrow_mut().load())
    }

    pub(crate) fn bounds(&self) -> Bounds {
        self.settings.borrow_mut().load().bounds
    }

    pub(crate) fn logs(&self) -> bool {
        self.settings.borrow_mut().load().logs
    }

    /// Reads the keys by which cookies are signed.
    pub(crate) fn with_sticky_keys<T>(&self, read: impl FnOnce(&Keys) -> T) -> T {
        read(&self.settings.borrow_mut().load().sticky_keys)
    }

    /// Tells whether a peer is believed what it says of clients before it.
    pub(crate) fn trusts(&self, peer: IpAddr) -> bool {
        let mut settings = self.settings.borrow_mut();
        let networks = &settings.load().trusted_proxies;
        networks.iter().any(|network| network.contains(&peer))
    }

    pub(crate) fn metrics(&self) -> &Metrics {
        self.shared.metrics()
    }

    /// Returns what this worker counts for a service.
    pub(crate) fn account(&self, service: &ServiceName) -> Rc<Account> {
        self.ledger.account(service, self.metrics())
    }

    /// Returns what this worker counts for a route.
    pub(crate) fn route(&self, rule: &Rule) -> Rc<RouteAccount> {
        self.ledger.route(&rule.label, self.metrics())
    }

    /// Returns what this worker has of an endpoint.
    pub(crate) fn slot(&self, endpoint: &Arc<Endpoint>, service: &ServiceName) -> Rc<Slot> {
        self.upstreams.slot(endpoint, service, self.metrics())
    }

    /// Returns the networks from which a listener's connections begin with a PROXY header; `None`
    /// when there is no such listener.
    pub(crate) fn proxy_protocol(&self, listen: SocketAddr) -> Option<Arc<[IpNet]>> {
        let mut settings = self.settings.borrow_mut();
        settings.load().proxy_protocol(listen).map(Arc::clone)
    }

    /// Reads what messages are marked with.
    pub(crate) fn with_marks<T>(&self, read: impl FnOnce(&Marks) -> T) -> T {
        read(&self.settings.borrow_mut().load().marks)
    }

    /// Makes an id for a request that has none.
    pub(crate) fn request_id(&self) -> RequestId<'static> {
        self.ids.borrow_mut().make()
    }

    pub(crate) fn random(&self) -> u64 {
        self.random.borrow_mut().u64(..)
    }

    /// Takes an empty buffer for what is read.
    pub(crate) fn buffer(&self) -> Buffer {
        let kept = self.buffers.borrow_mut().pop();
        kept.unwrap_or_else(|| Buffer::new(BUFFER_BYTES))
    }

    /// Gives a buffer back; one that has grown is not kept.
    pub(crate) fn give_buffer(&self, mut buffer: Buffer) {
        let mut buffers = self.buffers.borrow_mut();
        if buffer.capacity() == BUFFER_BYTES && buffers.len() < BUFFERS_MAX {
            buffer.clear();
            buffers.push(buffer);
        }
    }

    /// Takes an empty vector for what is written.
    pub(crate) fn output(&self) -> Vec<u8> {
        self.outputs.borrow_mut().pop().unwrap_or_default()
    }

    /// Gives a vector back; one that has grown large is not kept.
    pub(crate) fn give_output(&self, mut output: Vec<u8>) {
        let mut outputs = self.outputs.borrow_mut();
        if (1..=2 * BUFFER_BYTES).contains(&output.capacity()) && outputs.len() < BUFFERS_MAX {
            output.clear();
            outputs.push(output);
        }
    }

    /// Adds a line to the access log.
    pub(crate) fn log(&self, client: SocketAddr, request: &[u8], outcome: &Outcome<'_>) {
        let mut lines = self.lines.borrow_mut();
        lines.append(SystemTime::now(), client, request, outcome);
        if lines.len() >= PIECE_BYTES {
            self.flush(&mut lines);
        }
    }

    fn flush(&self, lines: &mut Lines) {
        let lines = lines.take();
        if lines.is_empty() {
            return;
        }
        let dropped = memchr::memchr_iter(b'\n', &lines).count() as u64;
        if !self.shared.log().send(lines) {
            self.counters.log_lines_dropped.add(dropped);
        }
    }

    /// Starts to look after what isn't in use, once for each worker.
    pub(crate) fn start_ticking(self: &Rc<Self>) {
        if !self.ticks.replace(true) {
            tokio::task::spawn_local(tick(Rc::downgrade(self)));
        }
    }

    fn tick(&self, now: Instant) {
        self.flush(&mut self.lines.borrow_mut());
        self.ledger.turn(now);
        let closed = self.shared.closed();
        if self.closed.replace(closed) != closed {
            let mut gates = self.gates.borrow_mut();
            gates.retain(|gate| gate.upgrade().inspect(|gate| gate.wake()).is_some());
        }
        let idle_max = self.bounds().timeouts.upstream_idle.get();
        let table = Arc::clone(self.table.borrow_mut().load());
        let is_new = |swept: &Arc<RouteTable>| !Arc::ptr_eq(swept, &table);
        if self.swept.borrow().as_ref().is_none_or(is_new) {
            self.ledger.sweep(&table);
            self.upstreams.leave(&table);
            self.swept.replace(Some(table));
        }
        let left = self.upstreams.sweep(now, idle_max);
        let before = self.counters.upstream_idle.read();
        self.counters.upstream_idle.subtract(before);
        self.counters.upstream_idle.add(left as u64);
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let mut lines = self.lines.take();
        self.flush(&mut lines);
    }
}

/// Runs until the worker is gone.
async fn tick(worker: Weak<Worker>) {
    let mut interval = interval(TICK);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let now = interval.tick().await;
        match worker.upgrade() {
            Some(worker) => worker.tick(now),
            None => return,
        }
    }
}
