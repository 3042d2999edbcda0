//! One process takes over from another, and nothing is lost.

use nix::sys::signal::Signal;
use tokio::runtime::Runtime;

use crate::support::{
    eventually,
    load::{Clients, Load},
    signpost::Signpost,
    upstream::Upstream,
};

const DRAINED: &str = "drained, the process ends";

/// Clients of every kind.
const CLIENTS: Clients = Clients {
    kept: 16,
    new: 4,
    udp: 4,
    tcp: 2,
    tcp_kept: 2,
};

/// How many upgrades there are under load.
const UPGRADES: usize = 5;

#[test]
fn a_new_process_goes_on_with_sockets_registrations_and_versions() {
    let mut signpost = Signpost::start("");
    let upstream = Upstream::start("one");
    signpost.put("web", "one", &upstream.registration());
    let version = |signpost: &Signpost| signpost.get("/readyz").1["version"].as_u64().unwrap();
    let (before, old) = (version(&signpost), signpost.process());
    signpost.upgrade();
    assert_ne!(signpost.process(), old);
    assert_eq!(signpost.curl("web", "/"), (200, "one".to_owned()));
    assert_eq!(signpost.dig(&["web.svc.internal"]), ["127.0.0.1"]);
    assert_eq!(signpost.dig(&["+tcp", "web.svc.internal"]), ["127.0.0.1"]);
    assert!(version(&signpost) > before);
    assert_eq!(signpost.put("web", "two", &upstream.registration()).0, 201);
    // The old one has ended well, with nobody left to wait for.
    assert_eq!(signpost.wait().code(), Some(0));

    // The new one is as good as the old one was.
    signpost.upgrade();
    let (_, web) = signpost.get("/v1/services/web");
    assert_eq!(web["instances"].as_array().unwrap().len(), 2, "{web}");
    signpost.verb(&["reload"]);
    assert_eq!(signpost.logged("configuration reloaded").len(), 1);
    signpost.signal(Signal::SIGTERM);
    eventually("the last one ends", || signpost.logged(DRAINED).len() == 3);
}

#[test]
fn a_new_process_that_fails_changes_nothing() {
    let signpost = Signpost::start("");
    let upstream = Upstream::start("one");
    signpost.put("web", "one", &upstream.registration());
    // The old process refuses it, too.
    signpost.write_config("workers = 'two'\n");
    signpost.signal(Signal::SIGUSR2);
    let failed = || signpost.logged("no upgrade, this process goes on");
    eventually("the upgrade fails", || failed().len() == 1);
    let reason = failed()[0]["reason"].to_string();
    assert!(reason.contains("exit status: 1"), "{reason}");
    assert_eq!(signpost.curl("web", "/"), (200, "one".to_owned()));
    assert_eq!(signpost.dig(&["web.svc.internal"]), ["127.0.0.1"]);
    assert_eq!(signpost.put("web", "two", &upstream.registration()).0, 201);
}

#[test]
fn a_new_process_that_is_not_ready_in_time_gives_the_store_back() {
    let config = "upgrade_timeout = '1s'\n[sources.embedded.store]\n";
    let signpost = Signpost::start(config);
    let upstream = Upstream::start("one");
    signpost.put("web", "one", &upstream.registration());
    // Somebody else has the new process's store: it is never ready.
    let other = Signpost::start("");
    let path = other.directory().join("signpost-data");
    let config = format!(
        "upgrade_timeout = '1s'\n[sources.embedded.store]\n[sources.other.store]\npath = {path:?}\n"
    );
    // The old one is about to read it, too.
    signpost.write_config(&config);
    signpost.signal(Signal::SIGUSR2);
    let failed = || signpost.logged("no upgrade, this process goes on");
    eventually("the upgrade fails", || failed().len() == 1);
    let reason = failed()[0]["reason"].to_string();
    assert!(reason.contains("upgrade_timeout"), "{reason}");
    assert_eq!(signpost.curl("web", "/"), (200, "one".to_owned()));
    eventually("the store is back", || {
        signpost.put("web", "two", &upstream.registration()).0 == 201
    });
}

#[test]
fn upgrades_under_load_lose_nothing() {
    let runtime = Runtime::new().unwrap();
    let mut signpost = Signpost::start("");
    let upstreams = ["one", "two"].map(Upstream::start);
    for (id, upstream) in ["one", "two"].iter().zip(&upstreams) {
        signpost.put("web", id, &upstream.registration());
    }
    let (proxy, dns) = (signpost.proxy(), signpost.dns());
    let load = runtime.block_on(async { Load::start(CLIENTS, proxy, dns) });
    let seen = |load: &Load| {
        let seen = &load.seen;
        [&seen.requests, &seen.connections, &seen.udp, &seen.tcp]
            .map(|count| count.load(std::sync::atomic::Ordering::Relaxed))
    };
    for upgrade in 1..=UPGRADES {
        // Every kind has found its pace before, and finds it again behind.
        let before = seen(&load);
        eventually("the load goes on", || {
            let now = seen(&load);
            now.iter()
                .zip(before)
                .all(|(now, before)| *now > before + 50)
        });
        signpost.upgrade();
        eventually("the old one has drained", || {
            signpost.logged(DRAINED).len() == upgrade
        });
    }
    let seen = runtime.block_on(load.stop());
    assert_eq!(signpost.logged("started").len(), UPGRADES + 1);
    println!("{}", seen.summary());
}
