//! What writers write arrives, and what can't be read is refused by itself.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use registry::sources::zookeeper::{Auth, AuthScheme, Config};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::Command,
    time::Instant,
};
use zookeeper_client::{Acl, Acls, AuthId, CreateMode, Permission};

use super::follower::{Follower, make};
use crate::support::{skip, zookeeper::Ensemble};

const SESSION: Duration = Duration::from_secs(6);
const DELAY: Duration = Duration::from_millis(300);

fn config(ensemble: &Ensemble, root: &str) -> Config {
    let mut config = Config::new(ensemble.connect(), root);
    config.removal_delay = DELAY.into();
    config
}

#[tokio::test]
async fn what_is_written_arrives_and_what_is_not_readable_is_refused() {
    let Some(ensemble) = Ensemble::start(3).await else {
        return;
    };
    tokio::join!(
        every_format_arrives(&ensemble),
        an_ephemeral_leaves_with_its_session(&ensemble),
        bad_records_are_refused_by_themselves(&ensemble),
        an_absent_root_is_waited_for(&ensemble),
        delete_and_create_is_no_removal(&ensemble),
        a_login_opens_what_is_closed(&ensemble),
        kazoo_is_understood(&ensemble),
    );
}

async fn every_format_arrives(ensemble: &Ensemble) {
    let client = ensemble.client(SESSION).await;
    make(&client, "/all/formats/list", r#"["127.0.0.1", "9099"]"#).await;
    make(&client, "/all/formats/text", "127.0.0.1:9098").await;
    // With a chroot the root's children are those of `/all`.
    let mut chrooted = config(ensemble, "/");
    chrooted.connect += "/all";
    let mut follower = Follower::start(chrooted);
    follower.until("the first reset", |f| f.resets == 1).await;
    assert_eq!(follower.services, ["/all/formats"]);
    let places: Vec<_> = follower.places().into_iter().collect();
    let expected = [
        ("/all/formats/list", "127.0.0.1:9099"),
        ("/all/formats/text", "127.0.0.1:9098"),
    ];
    assert_eq!(
        places,
        expected.map(|(path, place)| (path.to_owned(), place.to_owned()))
    );

    let curator = r#"{"name":"formats","id":"c-1","address":"127.0.0.1","port":9097,"sslPort":null,
        "payload":null,"registrationTimeUTC":1558000134185,"serviceType":"DYNAMIC"}"#;
    make(&client, "/all/formats/curator", curator).await;
    make(
        &client,
        "/all/formats/object",
        r#"{"host":"::1","port":9096,"weight":3}"#,
    )
    .await;
    follower
        .until("all formats", |f| f.instances.len() == 4)
        .await;
    assert_eq!(follower.place("/all/formats/object").unwrap(), "::1:9096");
    let entry = &follower.instances["/all/formats/curator"];
    assert_eq!(entry.service.as_str(), "formats");
    let (instance, stat) = (
        &entry.instances[0],
        client.check_stat("/all/formats/curator").await,
    );
    let stat = stat.unwrap().unwrap();
    assert_eq!(instance.id.as_str(), "c-1");
    assert_eq!(instance.origin.revision, u64::try_from(stat.mzxid).ok());
    assert_eq!(
        instance.origin.since.unwrap().as_millis(),
        u64::try_from(stat.ctime).unwrap()
    );

    let mut quickest = Duration::MAX;
    for port in 1000..1010 {
        let written = Instant::now();
        let data = format!("127.0.0.1:{port}");
        client
            .set_data("/all/formats/text", data.as_bytes(), None)
            .await
            .unwrap();
        let at = |f: &Follower| f.place("/all/formats/text");
        follower
            .until("a change", |f| at(f).as_ref() == Some(&data))
            .await;
        quickest = quickest.min(written.elapsed());
    }
    assert!(
        quickest < Duration::from_millis(50),
        "a change took {quickest:?}"
    );

    client.delete("/all/formats/list", None).await.unwrap();
    follower
        .until("a removal", |f| f.removed == ["/all/formats/list"])
        .await;
    assert_eq!((follower.resets, follower.losses), (1, 0));
}

async fn an_ephemeral_leaves_with_its_session(ensemble: &Ensemble) {
    let client = ensemble.client(SESSION).await;
    make(&client, "/ephemeral/web", "").await;
    let mut follower = Follower::start(config(ensemble, "/ephemeral"));
    follower.until("the first reset", |f| f.resets == 1).await;
    // Detached: the session isn't closed with its client, so it has to expire.
    let owner = zookeeper_client::Client::connector()
        .with_session_timeout(Duration::from_secs(1))
        .with_detached()
        .connect(&ensemble.connect())
        .await
        .unwrap();
    let options = CreateMode::EphemeralSequential.with_acls(Acls::anyone_all());
    let created = owner
        .create("/ephemeral/web/s-", b"127.0.0.1:80", &options)
        .await;
    let path = format!("/ephemeral/web/s-{}", created.unwrap().1);
    follower
        .until("the ephemeral", |f| f.place(&path).is_some())
        .await;
    drop(owner);
    follower
        .until("its end", |f| f.removed == [path.as_str()])
        .await;
    assert_eq!(
        follower.services,
        ["/ephemeral/web"],
        "a service may be empty"
    );
}

async fn bad_records_are_refused_by_themselves(ensemble: &Ensemble) {
    let client = ensemble.client(SESSION).await;
    make(&client, "/bad/web/large", vec![b'x'; 2 << 20]).await;
    make(&client, "/bad/web/good", "127.0.0.1:80").await;
    make(&client, "/bad/no service!/s1", "127.0.0.1:80").await;
    let mut follower = Follower::start(config(ensemble, "/bad"));
    follower.until("the first reset", |f| f.resets == 1).await;
    make(&client, "/bad/web/binary", [0x41, 0xff, 0x00]).await;
    make(&client, "/bad/web/port", r#"["127.0.0.1","70000"]"#).await;
    make(&client, "/bad/_late_/s1", "127.0.0.1:80").await;
    make(&client, "/bad/web/deep/er", "127.0.0.1:80").await;
    follower
        .until("all refusals", |f| f.refused.len() == 6)
        .await;
    let reasons = follower
        .refused
        .iter()
        .map(|(path, reason)| (path.as_str(), reason.as_str()));
    let expected = [
        (
            "/bad/_late_",
            "service name `_late_` has a label that doesn't start and end with",
        ),
        ("/bad/no service!", "service name `no service!` has ' '"),
        ("/bad/web/binary", "binary rubbish: invalid UTF-8 at byte 1"),
        ("/bad/web/deep", "the record is empty"),
        ("/bad/web/large", "2097152 bytes, more than 65536"),
        ("/bad/web/port", "port 70000 is not between 1 and 65535"),
    ];
    for ((path, reason), expected) in reasons.zip(expected) {
        assert_eq!(path, expected.0);
        assert!(reason.starts_with(expected.1), "{path}: {reason}");
    }
    client
        .set_data("/bad/web/good", b"127.0.0.1:81", None)
        .await
        .unwrap();
    client
        .set_data("/bad/web/port", b"127.0.0.1:82", None)
        .await
        .unwrap();
    follower
        .until("good ones", |f| f.instances.len() == 2)
        .await;
    follower
        .until("the change", |f| {
            f.place("/bad/web/good").as_deref() == Some("127.0.0.1:81")
        })
        .await;
    client.delete("/bad/web/large", None).await.unwrap();
    follower
        .until("its end", |f| f.removed == ["/bad/web/large"])
        .await;
    assert_eq!(
        (follower.resets, follower.losses),
        (1, 0),
        "the session lives"
    );
}

async fn an_absent_root_is_waited_for(ensemble: &Ensemble) {
    let client = ensemble.client(SESSION).await;
    let mut follower = Follower::start(config(ensemble, "/absent/for/now"));
    follower.until("an empty reset", |f| f.resets == 1).await;
    assert!(follower.services.is_empty() && follower.instances.is_empty());
    make(&client, "/absent/for/now/web/s1", "127.0.0.1:80").await;
    follower
        .until("the instance", |f| f.instances.len() == 1)
        .await;
    for path in [
        "/absent/for/now/web/s1",
        "/absent/for/now/web",
        "/absent/for/now",
    ] {
        client.delete(path, None).await.unwrap();
    }
    follower
        .until("the end of all", |f| f.removed.len() == 2)
        .await;
    make(&client, "/absent/for/now/web/s2", "127.0.0.1:80").await;
    follower
        .until("the second life", |f| f.instances.len() == 1)
        .await;
    assert_eq!((follower.resets, follower.failures.len()), (1, 0));
}

async fn delete_and_create_is_no_removal(ensemble: &Ensemble) {
    let client = ensemble.client(SESSION).await;
    make(&client, "/flap/web/s1", "127.0.0.1:80").await;
    make(&client, "/flap/web/last", "127.0.0.1:80").await;
    let mut slow = config(ensemble, "/flap");
    slow.removal_delay = Duration::from_secs(1).into();
    let mut follower = Follower::start(slow);
    follower.until("the first reset", |f| f.resets == 1).await;
    for port in 81..=85 {
        client.delete("/flap/web/s1", None).await.unwrap();
        follower.listen_for(Duration::from_millis(50)).await;
        assert!(
            follower.place("/flap/web/s1").is_some(),
            "it was taken away"
        );
        let data = format!("127.0.0.1:{port}");
        make(&client, "/flap/web/s1", &data).await;
        let at = |f: &Follower| f.place("/flap/web/s1");
        follower
            .until("the change", |f| at(f).as_ref() == Some(&data))
            .await;
    }
    client.delete("/flap/web/last", None).await.unwrap();
    follower
        .until("a real removal", |f| !f.removed.is_empty())
        .await;
    assert_eq!(follower.removed, ["/flap/web/last"]);
}

async fn a_login_opens_what_is_closed(ensemble: &Ensemble) {
    let client = ensemble.client(SESSION).await;
    client.auth("digest", b"reader:s3cret").await.unwrap();
    make(&client, "/closed/web/open", "127.0.0.1:80").await;
    let acls = [Acl::new(Permission::ALL, AuthId::new("auth", ""))];
    let options = CreateMode::Persistent.with_acls(Acls::new(&acls));
    client
        .create("/closed/web/s1", b"127.0.0.1:81", &options)
        .await
        .unwrap();
    client.create("/closed/db", b"", &options).await.unwrap();
    client
        .create("/closed/db/s1", b"127.0.0.1:82", &options)
        .await
        .unwrap();

    let mut stranger = Follower::start(config(ensemble, "/closed"));
    stranger.until("the first reset", |f| f.resets == 1).await;
    assert_eq!(stranger.instances.len(), 1);
    let refused: Vec<_> = stranger
        .refused
        .iter()
        .map(|(path, why)| (path.as_str(), why.as_str()))
        .collect();
    let reason = "not authorized to read it";
    assert_eq!(
        refused,
        [("/closed/db", reason), ("/closed/web/s1", reason)]
    );

    let password_file = ensemble.directory().join("password");
    std::fs::write(&password_file, "s3cret\n").unwrap();
    let mut known = config(ensemble, "/closed");
    known.auth = Some(Auth {
        scheme: AuthScheme::Digest,
        user: "reader".to_owned(),
        password_file,
    });
    let mut reader = Follower::start(known);
    reader.until("the first reset", |f| f.resets == 1).await;
    assert_eq!((reader.instances.len(), reader.refused.len()), (3, 0));
}

/// Returns the Python that `tests/all.sh` makes, or else the system's.
fn python() -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/python/bin/python3");
    match own.exists() {
        true => own,
        false => "python3".into(),
    }
}

async fn kazoo_is_understood(ensemble: &Ensemble) {
    let python = python();
    let mut import = Command::new(&python);
    let imported = import
        .args(["-c", "import kazoo"])
        .stderr(Stdio::null())
        .status()
        .await;
    if !imported.is_ok_and(|status| status.success()) {
        skip("python3 has no kazoo (package python3-kazoo, or pip install kazoo)");
        return;
    }
    let mut follower = Follower::start(config(ensemble, "/service/business"));
    follower.until("the first reset", |f| f.resets == 1).await;
    let mut writer = Command::new(&python)
        .arg(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/tests/scripts/kazoo_register.py"
        ))
        .args([
            &ensemble.connect(),
            "/service/business/what",
            "127.0.0.1",
            "9099",
        ])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(writer.stdout.take().unwrap()).lines();
    let path = lines.next_line().await.unwrap().expect("the znode's path");
    follower
        .until("what kazoo wrote", |f| f.place(&path).is_some())
        .await;
    assert_eq!(follower.place(&path).unwrap(), "127.0.0.1:9099");
    drop(writer.stdin.take());
    follower
        .until("its end", |f| f.removed == [path.as_str()])
        .await;
    assert!(writer.wait().await.unwrap().success());
}

#[tokio::test]
async fn fifty_thousand_instances_of_one_service_are_read() {
    const INSTANCES: usize = 50_000;
    let Some(ensemble) = Ensemble::start(1).await else {
        return;
    };
    let client = ensemble.client(Duration::from_secs(30)).await;
    make(&client, "/huge/web", "").await;
    let options = CreateMode::Persistent.with_acls(Acls::anyone_all());
    for batch in 0..INSTANCES / 1000 {
        let mut writer = client.new_multi_writer();
        for n in batch * 1000..(batch + 1) * 1000 {
            let path = format!("/huge/web/instance-{n:010}");
            let data = format!(r#"["10.0.{}.{}","9099"]"#, n / 250, n % 250);
            writer.add_create(&path, data.as_bytes(), &options).unwrap();
        }
        writer.commit().await.unwrap();
    }
    let mut follower = Follower::start(config(&ensemble, "/huge"));
    follower.until("the first reset", |f| f.resets == 1).await;
    assert_eq!(follower.instances.len(), INSTANCES);
    make(&client, "/huge/web/late", "127.0.0.1:80").await;
    follower
        .until("one more", |f| f.instances.len() == INSTANCES + 1)
        .await;

    let mut small = config(&ensemble, "/huge");
    small.records_max = 1000;
    let mut limited = Follower::start(small);
    limited.until("the first reset", |f| f.resets == 1).await;
    assert_eq!(limited.instances.len(), 999);
    let reason = "49002 records more than records_max = 1000: they are left out";
    assert_eq!(limited.refused["/huge"], reason);
}
