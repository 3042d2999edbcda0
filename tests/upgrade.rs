//! One process takes over from another, or has its sockets from one, and nothing is lost.

use std::{
    os::unix::net::UnixDatagram,
    process::Command,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use nix::sys::signal::Signal;
use tokio::runtime::Runtime;

use crate::support::{
    client, eventually, free_ports,
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

    // The new one is as good as the old one was, and knows what an operator has said to it.
    signpost.verb(&["drain", "web/two", "--no-wait"]);
    signpost.upgrade();
    let (_, two) = signpost.get("/v1/services/web/instances/two/drain");
    assert_eq!(
        (&two["state"], &two["drained"]),
        (&"draining".into(), &true.into())
    );
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
            .map(|count| count.load(Ordering::Relaxed))
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
    runtime.block_on(load.stop());
    assert_eq!(signpost.logged("started").len(), UPGRADES + 1);
}

#[test]
fn registrations_and_leases_outlive_upgrades_while_clients_register() {
    let mut signpost = Signpost::start("");
    let admin = signpost.admin();
    let put = |id: &str, ttl: &str| {
        let url = format!("{admin}/v1/services/web/instances/{id}");
        let body = format!(r#"{{"address": "127.0.0.1", "port": 80{ttl}}}"#);
        // While the store changes hands, clients are asked to come again.
        loop {
            match client::request("PUT", &url, &body).0 {
                200 | 201 => return,
                503 => thread::sleep(Duration::from_millis(10)),
                status => panic!("{status}"),
            }
        }
    };
    let over = AtomicBool::new(false);
    let registered = thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut count = 0;
            while !over.load(Ordering::Relaxed) {
                put(&format!("i{count}"), "");
                // Were a lease lost, it would have ended before the last upgrade has.
                put("leased", r#", "ttl": "2s""#);
                count += 1;
            }
            count
        });
        for _ in 0..3 {
            signpost.upgrade();
        }
        over.store(true, Ordering::Relaxed);
        writer.join().unwrap()
    });
    assert!(registered > 3, "{registered}");
    let ids = |signpost: &Signpost| {
        let (_, web) = signpost.get("/v1/services/web");
        let instances = web["instances"].as_array().unwrap().clone();
        let ids = instances
            .iter()
            .map(|one| one["id"].as_str().unwrap().to_owned());
        ids.collect::<Vec<_>>()
    };
    let known = ids(&signpost);
    assert_eq!(known.len(), registered + 1, "{known:?}");
    assert!(known.contains(&"leased".to_owned()), "{known:?}");
    // A lease that nobody renews ends in the new process, too.
    eventually("the lease ends", || ids(&signpost).len() == registered);
}

/// Opens sockets as systemd does, `KIND:ADDRESS:PORT:NAME` each, and becomes another program.
const ACTIVATE: &str = "
import fcntl, os, socket, sys
specs = [spec.split(':') for spec in sys.argv[1].split(',')]
opened = []
for kind, address, port, name in specs:
    one = socket.socket(type=socket.SOCK_STREAM if kind == 'tcp' else socket.SOCK_DGRAM)
    one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    one.bind((address, int(port)))
    if kind == 'tcp':
        one.listen()
    opened.append(fcntl.fcntl(one, fcntl.F_DUPFD_CLOEXEC, 100))
for number, descriptor in enumerate(opened):
    os.dup2(descriptor, 3 + number)
os.environ['LISTEN_FDS'] = str(len(opened))
os.environ['LISTEN_PID'] = str(os.getpid())
os.environ['LISTEN_FDNAMES'] = ':'.join(spec[3] for spec in specs)
os.execv(sys.argv[2], sys.argv[2:])
";

#[test]
fn sockets_that_systemd_has_opened_are_used_and_others_closed() {
    let ports = free_ports(4);
    let [dns, proxy, admin, other] = ports[..] else {
        panic!("{ports:?}");
    };
    let specs = [
        format!("udp:127.0.0.1:{dns}:dns"),
        format!("tcp:127.0.0.1:{dns}:dns"),
        format!("tcp:127.0.0.1:{proxy}:proxy"),
        format!("tcp:127.0.0.1:{proxy}:proxy"),
        format!("tcp:127.0.0.1:{admin}:admin"),
        format!("tcp:127.0.0.1:{other}:stranger"),
    ];
    let mut command = Command::new("/usr/bin/python3");
    command.args(["-c", ACTIVATE, &specs.join(",")]);
    let config = format!(
        "[dns]\nlisten = ['127.0.0.1:{dns}']\n[[proxy.listeners]]\nlisten = '127.0.0.1:{proxy}'\n\
         [admin]\nlisten = '127.0.0.1:{admin}'\n"
    );
    // It couldn't bind any of these addresses: they are taken.
    let mut signpost = Signpost::start_by(command, &config);
    let upstream = Upstream::start("one");
    let works = |signpost: &Signpost| {
        signpost.put("web", "one", &upstream.registration());
        for _ in 0..8 {
            assert_eq!(signpost.curl("web", "/"), (200, "one".to_owned()));
            assert_eq!(signpost.dig(&["web.svc.internal"]), ["127.0.0.1"]);
            assert_eq!(signpost.dig(&["+tcp", "web.svc.internal"]), ["127.0.0.1"]);
        }
    };
    works(&signpost);
    let warned = signpost.logged("was passed to this process and isn't in the configuration");
    assert_eq!(warned.len(), 1, "{warned:?}");
    assert_eq!(warned[0]["socket"], "stranger");
    assert!(std::net::TcpStream::connect(("127.0.0.1", other)).is_err());
    signpost.upgrade();
    works(&signpost);
}

#[test]
fn systemd_is_told_how_the_process_is_and_which_one_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket
        .set_read_timeout(Some(Duration::from_secs(10)))
        .unwrap();
    let told = || {
        let mut text = [0; 512];
        let bytes = socket.recv(&mut text).unwrap();
        String::from_utf8_lossy(&text[..bytes]).into_owned()
    };
    let mut command = Command::new("env");
    command.env("NOTIFY_SOCKET", &path);
    let mut signpost = Signpost::start_by(command, "");
    assert_eq!(told(), "READY=1\n");
    assert_eq!(signpost.verb(&["reload"]).status.code(), Some(0));
    let reloading = told();
    assert!(
        reloading.starts_with("RELOADING=1\nMONOTONIC_USEC="),
        "{reloading}"
    );
    assert_eq!(told(), "READY=1\n");
    signpost.upgrade();
    assert_eq!(told(), format!("MAINPID={}\nREADY=1\n", signpost.process()));
    signpost.signal(Signal::SIGTERM);
    assert_eq!(told(), "STOPPING=1\n");
}
