use std::{
    fs,
    sync::atomic::{AtomicUsize, Ordering::SeqCst},
};

use registry::sources;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use super::*;
use crate::AccessLog;

/// How many instances there are.
const INSTANCES: usize = 1500;

/// How many checks may be under way at a time.
const CHECKS_MAX: usize = 20;

/// What the server that stands for all instances has seen.
#[derive(Debug, Default)]
struct Seen {
    now: AtomicUsize,
    most: AtomicUsize,
    all: AtomicUsize,
}

/// Answers one check; the answer takes a moment.
async fn answer(mut stream: tokio::net::TcpStream, seen: Arc<Seen>) {
    let now = seen.now.fetch_add(1, SeqCst) + 1;
    seen.most.fetch_max(now, SeqCst);
    seen.all.fetch_add(1, SeqCst);
    let mut request = [0; 1024];
    // A check that was given up is none to answer.
    if stream.read(&mut request).await.is_ok_and(|bytes| bytes > 0) {
        tokio::time::sleep(Duration::from_millis(2)).await;
        // Before the answer is there the next check can't begin.
        seen.now.fetch_sub(1, SeqCst);
        let good = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
        stream.write_all(good).await.ok();
    }
}

/// Starts a registry whose file has all the instances of `web`, and waits until they are there.
async fn registry(directory: &std::path::Path, port: u16) -> Controls {
    let mut list = "[[services]]\nname = 'web'\n".to_owned();
    for n in 0..INSTANCES {
        let (high, low) = (n / 250 + 1, n % 250 + 1);
        list.push_str(&format!(
            "[[services.instances]]\naddress = '127.1.{high}.{low}'\nport = {port}\n"
        ));
    }
    let path = directory.join("list.toml");
    fs::write(&path, list).unwrap();
    let file = format!("[file]\npath = {:?}\n", path.display().to_string());
    let file: sources::Config = toml::from_str(&file).unwrap();
    let controls = registry::start(registry::Config {
        state_dir: directory.to_owned(),
        ..Default::default()
    });
    let set = BTreeMap::from([("f".to_owned(), file)]);
    controls.set_sources(set).await.unwrap();
    let mut snapshots = controls.snapshots();
    let all = |snapshot: &Arc<Snapshot>| {
        let web = snapshot.service("web");
        web.is_some_and(|web| web.instances.len() == INSTANCES)
    };
    snapshots.wait_for(all).await.unwrap();
    controls
}

#[tokio::test]
async fn many_instances_are_checked_by_few_checks_at_a_time() {
    // One listener is at all addresses of the loopback network.
    let listener = TcpListener::bind("0.0.0.0:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let seen = Arc::<Seen>::default();
    let counted = Arc::clone(&seen);
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(answer(stream, Arc::clone(&counted)));
        }
    });
    let directory = tempfile::tempdir().unwrap();
    let controls = registry(directory.path(), port).await;
    let config: Config = toml::from_str(&format!(
        "[limits]\nchecks = {CHECKS_MAX}\n[defaults]\ncheck = {{ timeout = '60s', interval = '100ms' }}"
    ))
    .unwrap();
    let table = RouteTable::build(&config, &[], &controls.snapshot(), None);
    let log = AccessLog::open(&config.access_log).unwrap();
    let shared = Arc::new(Shared::new(&config, table, log));
    let manager = HealthManager::start(&config, &shared, &controls, 7);

    let mut snapshots = controls.snapshots();
    let all_healthy = |snapshot: &Arc<Snapshot>| {
        let mut instances = snapshot.service("web").unwrap().instances.iter();
        instances.all(|one| one.observation.health == registry::Health::Healthy)
    };
    let healthy = snapshots.wait_for(all_healthy);
    tokio::time::timeout(Duration::from_secs(60), healthy)
        .await
        .unwrap()
        .unwrap();
    assert!(seen.all.load(SeqCst) >= INSTANCES);
    let most = seen.most.load(SeqCst);
    assert!((2..=CHECKS_MAX).contains(&most), "{most}");
    let shown = manager.show(&"web".parse().unwrap()).await.unwrap();
    assert_eq!(shown.instances.len(), INSTANCES);
    assert_eq!(manager.show(&"other".parse().unwrap()).await, None);
}
