//! The admin API: what signpost knows, how it is, and registrations.
//!
//! One file for each group of paths. Everything is JSON but metrics and zones; what goes wrong is a
//! problem document (RFC 9457). A GET changes nothing, and what changes something wants a token if one is
//! configured.

mod config;
mod drain;
mod events;
mod explain;
mod health;
mod metrics;
mod registrations;
mod reload;
mod router;
mod services;
mod sources;
mod zones;

pub use config::Config;
pub(crate) use metrics::Collectors;

use std::sync::Arc;

use arc_swap::ArcSwap;
use futures_util::future::BoxFuture;
use http::{Request, Response};
use hyper::body::Incoming;
use proxy::HealthManager;
use registry::Controls;
use tokio::sync::{Semaphore, mpsc, watch};

use crate::{
    compat::Dynamic,
    http_server::{Access, Api, aside, body},
    reload::ReloadRequest,
    views::Views,
};

/// What the paths need of the rest of the program.
#[derive(Debug)]
pub(crate) struct Admin {
    pub(crate) controls: Controls,
    pub(crate) views: Views,
    pub(crate) health: HealthManager,
    pub(crate) collectors: Collectors,
    pub(crate) reloads: mpsc::Sender<ReloadRequest>,
    /// Turns true when the process is about to end.
    pub(crate) draining: watch::Receiver<bool>,
    access: ArcSwap<Access>,
    dynamic: ArcSwap<Dynamic>,
    /// Places for clients that wait for something, so that others find room.
    long_polls: Semaphore,
    /// The place of the one who looks at everything in the zones, so that others wait.
    whole_zones: Arc<Semaphore>,
}

/// How many clients wait for changes at a time: events and blocking queries.
const LONG_POLLS_MAX: usize = 128;

impl Admin {
    pub(crate) fn new(
        controls: Controls,
        views: Views,
        health: HealthManager,
        collectors: Collectors,
        reloads: mpsc::Sender<ReloadRequest>,
        draining: watch::Receiver<bool>,
    ) -> Arc<Self> {
        Arc::new(Self {
            controls,
            views,
            health,
            collectors,
            reloads,
            draining,
            access: ArcSwap::from_pointee(Access::default()),
            dynamic: ArcSwap::default(),
            long_polls: Semaphore::new(LONG_POLLS_MAX),
            whole_zones: Arc::new(Semaphore::new(1)),
        })
    }

    /// Decides by `access` from now on who is let in.
    pub(crate) fn set_access(&self, access: Access) {
        self.access.store(Arc::new(access));
    }

    /// Takes what sources say of requests.
    pub(crate) fn set_dynamic(&self, dynamic: Arc<Dynamic>) {
        self.dynamic.store(dynamic);
    }
}

impl Api for Admin {
    fn name(&self) -> &'static str {
        "admin"
    }

    fn answer(
        self: Arc<Self>,
        request: Request<Incoming>,
    ) -> BoxFuture<'static, Response<body::Body>> {
        Box::pin(router::answer(self, request))
    }
}
