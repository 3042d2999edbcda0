//! The whole way from a ZooKeeper ensemble to answers and requests, and what an outage does to it.

use std::time::Duration;

use hickory_proto::{op::ResponseCode, rr::RecordType};
use zookeeper_client::CreateMode;

use crate::support::{
    chain::{Agent, Chain, NAME, SESSION_TIMEOUT, config},
    client, eventually,
    signpost::Signpost,
    upstream::Upstream,
};

#[test]
fn an_ephemeral_znode_is_an_instance_for_as_long_as_its_session_lives() {
    let Some(chain) = Chain::start() else { return };
    let upstream = Upstream::start("nine");
    let owner = chain.client(Duration::from_secs(2));
    chain.mkdir(&owner, "/service/business/what");
    eventually("the empty service is known", || {
        chain.signpost.curl("what", "/").0 == 503
    });

    // The best of a few: this machine may be busy with other tests.
    let data = format!(r#"["127.0.0.1","{}"]"#, upstream.port());
    let best = (0..5).map(|n| {
        let path = format!("/service/business/what{n}");
        chain.mkdir(&owner, &path);
        chain.create(&owner, &format!("{path}/s1"), &data, CreateMode::Ephemeral);
        let name = format!("what{n}.svc.internal.");
        eventually("the instance is answered", || {
            chain.addresses(&name) == ["127.0.0.1"]
        })
    });
    let best = best.min().unwrap();
    assert!(best < Duration::from_millis(50), "it took {best:?}");

    // A process of its own, which can be killed.
    let (to, port) = (chain.target(), upstream.port().to_string());
    let mut agent = Agent::register(&["--id", "s1", "--port", &port, "--to", &to]);
    eventually("the instance is answered", || {
        chain.addresses(NAME) == ["127.0.0.1"]
    });
    let signpost = &chain.signpost;
    assert_eq!(signpost.dig(&["what.svc.internal"]), ["127.0.0.1"]);
    let srv = format!("0 1 {} s1.what.svc.internal.", upstream.port());
    assert_eq!(signpost.dig(&["_what._tcp.svc.internal", "SRV"]), [srv]);
    let answer = signpost.curl("what.svc.internal", "/");
    assert_eq!(answer, (200, "nine".to_owned()));

    // Nobody ends the session of a killed process but the servers, when its time is over. What it
    // has said last may have been up to a third of that time ago.
    agent.kill();
    let stays = eventually("the instance leaves with its session", || {
        chain.addresses(NAME).is_empty()
    });
    assert!(stays > SESSION_TIMEOUT / 2, "it has left after {stays:?}");
    assert_eq!(signpost.curl("what.svc.internal", "/").0, 503);
    let answer = client::query(signpost.dns(), NAME, RecordType::A);
    let code = answer.metadata.response_code;
    assert_eq!(code, ResponseCode::NoError, "the service is still there");
}

#[test]
fn an_outage_of_the_ensemble_changes_no_answer_and_its_return_brings_the_truth() {
    let Some(mut chain) = Chain::start() else {
        return;
    };
    let upstream = Upstream::start("nine");
    let writer = chain.client(Duration::from_secs(10));
    chain.mkdir(&writer, "/service/business/what");
    let data = |host: &str| format!(r#"["{host}","{}"]"#, upstream.port());
    let persistent = CreateMode::Persistent;
    chain.create(
        &writer,
        "/service/business/what/a",
        &data("127.0.0.1"),
        persistent,
    );
    eventually("it is answered", || chain.addresses(NAME) == ["127.0.0.1"]);
    let version = chain.signpost.get("/readyz").1["version"].clone();

    let leader = chain.runtime.block_on(chain.ensemble.leader());
    chain.ensemble.kill(leader);
    chain.runtime.block_on(chain.ensemble.serving());
    chain.create(
        &writer,
        "/service/business/what/b",
        &data("127.0.0.2"),
        persistent,
    );
    eventually("a change after the leader's death is seen", || {
        chain.addresses(NAME) == ["127.0.0.1", "127.0.0.2"]
    });

    let has_error = |chain: &Chain, name, error| {
        let lines = chain.signpost.dig(&[name, "+noshort", "+comments"]);
        lines.iter().any(|line| line.contains(error))
    };
    assert!(!has_error(&chain, NAME, "EDE"));

    chain.ensemble.kill_all();
    eventually("the source is stale", || chain.is_stale());
    eventually("clients are told so", || has_error(&chain, NAME, "EDE: 3 "));
    let explanation = chain.signpost.verb(&["explain", NAME]).stdout;
    let explanation = String::from_utf8(explanation).unwrap();
    let note = "note: may be old: lost the store of main\n";
    assert!(explanation.contains(note), "{explanation}");
    // Longer than the session, so that it expires.
    let started = tokio::time::Instant::now();
    let gone = Duration::from_secs(7);
    let mut asked = 0;
    while started.elapsed() < gone {
        assert_eq!(chain.addresses(NAME), ["127.0.0.1", "127.0.0.2"]);
        assert_eq!(chain.signpost.curl("what", "/").0, 200);
        asked += 1;
    }
    assert!(asked > 100, "asked only {asked} times");
    let (status, ready) = chain.signpost.get("/readyz");
    assert_eq!(
        (status, ready["stale"][0]["part"].as_str()),
        (200, Some("source main"))
    );
    let unknown = client::query(chain.signpost.dns(), "none.svc.internal.", RecordType::A);
    assert_eq!(unknown.metadata.response_code, ResponseCode::NXDomain);
    assert!(has_error(&chain, "none.svc.internal", "EDE: 19 "));

    chain.runtime.block_on(chain.ensemble.restart());
    let writer = chain.client(Duration::from_secs(10));
    let delete = writer.delete("/service/business/what/a", None);
    chain.runtime.block_on(delete).unwrap();
    chain.create(
        &writer,
        "/service/business/what/c",
        &data("127.0.0.3"),
        persistent,
    );
    eventually("the truth is back", || {
        chain.addresses(NAME) == ["127.0.0.2", "127.0.0.3"]
    });
    eventually("nothing is stale", || !chain.is_stale());
    eventually("nothing is told to be", || !has_error(&chain, NAME, "EDE"));
    let after = chain.signpost.get("/readyz").1["version"].clone();
    assert!(after.as_u64() > version.as_u64(), "{after} after {version}");
}

#[test]
fn a_store_that_is_down_at_the_start_is_ignorance_and_not_absence() {
    let Some(mut chain) = Chain::start() else {
        return;
    };
    let config = config(&chain.ensemble);
    let writer = chain.client(Duration::from_secs(10));
    chain.mkdir(&writer, "/service/business/what");
    chain.create(
        &writer,
        "/service/business/what/a",
        r#"["127.0.0.1","80"]"#,
        CreateMode::Persistent,
    );
    chain.ensemble.kill_all();
    let signpost = Signpost::start(&format!("{config}[sources.own.store]\n"));
    assert_eq!(
        signpost
            .put("own", "a", r#"{"address":"127.0.0.9","port":80}"#)
            .0,
        201
    );

    let ask = |name| client::query(signpost.dns(), name, RecordType::A);
    let answer = ask(NAME);
    assert_eq!(answer.metadata.response_code, ResponseCode::ServFail);
    assert_eq!(signpost.curl("what", "/").0, 503);
    assert_eq!(
        client::addresses(signpost.dns(), "own.svc.internal."),
        ["127.0.0.9"]
    );
    let (status, ready) = signpost.get("/readyz");
    assert_eq!(
        (status, ready["waiting"][0]["part"].as_str()),
        (503, Some("source main"))
    );
    eventually("the failure is shown", || {
        signpost.get("/v1/sources").1[0]["last_error"]["reason"].is_string()
    });

    chain.runtime.block_on(chain.ensemble.restart());
    eventually("the source syncs", || signpost.get("/readyz").0 == 200);
    assert_eq!(client::addresses(signpost.dns(), NAME), ["127.0.0.1"]);
    let answer = ask("none.svc.internal.");
    assert_eq!(answer.metadata.response_code, ResponseCode::NXDomain);
}
