//! Short ways to make services and to run sources, for tests of this crate and of its users.

use std::{sync::Arc, time::Duration};

use tokio::task::JoinHandle;

use crate::{
    About, Instance, InstanceId, Origin, Port, Reports, Service, Snapshot, Source, Update, What,
    channel,
};

/// How long a test waits for something that should come at once.
const PATIENCE: Duration = Duration::from_secs(30);

/// How much a source under test can say before it has to wait.
const REPORTS_MAX: usize = 1024;

/// Creates an instance at `host:port` that comes from nowhere.
///
/// # Panics
///
/// Panics when `host` is no host.
pub fn instance(id: &str, host: &str, port: u16) -> Instance {
    let origin = Origin {
        source: "test".into(),
        path: format!("/test/{id}").into(),
        revision: None,
        since: None,
    };
    let mut instance = Instance::new(InstanceId::from_text(id), origin);
    instance.set_host(host).expect("a test names a good host");
    instance.ports.push(Port::tcp(port));
    instance
}

/// Creates a service whose n-th instance, with this id and weight, is at `127.0.0.n:9000+n`.
///
/// # Panics
///
/// Panics when `name` is no service name.
pub fn service(name: &str, ids_and_weights: &[(&str, u16)]) -> Service {
    let instances = (1..).zip(ids_and_weights).map(|(n, (id, weight))| {
        let host = format!("127.0.0.{n}");
        let mut instance = instance(id, &host, 9000 + n);
        instance.weight = *weight;
        instance
    });
    service_of(name, instances)
}

/// Creates a service from instances.
///
/// # Panics
///
/// Panics when `name` is no service name.
pub fn service_of(name: &str, instances: impl IntoIterator<Item = Instance>) -> Service {
    let mut instances: Vec<_> = instances.into_iter().map(Arc::new).collect();
    instances.sort_by(|a, b| a.id.cmp(&b.id));
    Service {
        name: name.parse().expect("a test names a good service"),
        instances,
        about: About::NOTHING,
        left_out: 0,
        version: 0,
    }
}

/// Creates a snapshot of services, in which all sources have synced.
pub fn snapshot(version: u64, services: impl IntoIterator<Item = Service>) -> Snapshot {
    let services = services
        .into_iter()
        .map(|service| (service.name.clone(), Arc::new(service)))
        .collect();
    Snapshot::new(version, services, Arc::default())
}

/// Starts one run of a source and gives what it says.
///
/// Must be called on a tokio runtime; the run stops when the value is dropped.
pub fn run(mut source: impl Source) -> Told {
    let (updates, reports) = channel("test", REPORTS_MAX);
    let run = tokio::spawn(async move {
        let Err(error) = source.run(&updates).await;
        updates.report(What::Failed(error.to_string())).await;
    });
    Told { reports, run }
}

/// What a source under test says.
#[derive(Debug)]
pub struct Told {
    reports: Reports,
    run: JoinHandle<()>,
}

impl Told {
    /// Returns the next update; news of another kind is passed over.
    ///
    /// # Panics
    ///
    /// Panics when there is none within the time a test should take, or when the run fails.
    pub async fn next(&mut self) -> Update {
        loop {
            match self.report().await {
                What::Update(update) => return update,
                What::Failed(error) => panic!("the run failed: {error}"),
                What::Stale(_) | What::Audited(_) => {}
            }
        }
    }

    /// Waits for an update that is `wanted`; others are passed over.
    ///
    /// # Panics
    ///
    /// As [`Told::next`].
    pub async fn until(&mut self, wanted: impl Fn(&Update) -> bool) -> Update {
        loop {
            let update = self.next().await;
            if wanted(&update) {
                return update;
            }
        }
    }

    /// Waits for the run to say that it has lost its store, and returns why.
    ///
    /// # Panics
    ///
    /// As [`Told::next`].
    pub async fn stale(&mut self) -> String {
        loop {
            match self.report().await {
                What::Stale(reason) => return reason,
                What::Failed(error) => panic!("the run failed: {error}"),
                What::Update(_) | What::Audited(_) => {}
            }
        }
    }

    /// Waits for the run to end, and returns why.
    ///
    /// # Panics
    ///
    /// Panics when it doesn't within the time a test should take.
    pub async fn failure(&mut self) -> String {
        loop {
            if let What::Failed(error) = self.report().await {
                return error;
            }
        }
    }

    /// Waits for an audit that has found something, and returns how much.
    ///
    /// # Panics
    ///
    /// As [`Told::next`].
    pub async fn drift(&mut self) -> u64 {
        loop {
            match self.report().await {
                What::Audited(drift) if drift > 0 => return drift,
                What::Failed(error) => panic!("the run failed: {error}"),
                What::Audited(_) | What::Update(_) | What::Stale(_) => {}
            }
        }
    }

    /// Stops the run and waits until it has let go of its files.
    pub async fn stop(mut self) {
        self.run.abort();
        (&mut self.run)
            .await
            .expect_err("a run ends only when it is stopped");
    }

    async fn report(&mut self) -> What {
        let report = tokio::time::timeout(PATIENCE, self.reports.next()).await;
        report.expect("the source says something in time")
    }
}

impl Drop for Told {
    fn drop(&mut self) {
        self.run.abort();
    }
}
