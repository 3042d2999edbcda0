use proptest::prelude::*;

use super::*;
use crate::{Protocol, State};

fn read(format: Format, bytes: impl AsRef<[u8]>) -> Result<Vec<Instance>, String> {
    let record = Record {
        source: &"zk".into(),
        key: &Key::new("/service/what/s1"),
        name: "s1",
        revision: Some(7),
        since: Some(Timestamp::from_millis(1_558_000_134_185)),
    };
    parse(format, bytes.as_ref(), &record)
}

fn auto(text: &str) -> Instance {
    read(Format::Auto, text).unwrap().pop().unwrap()
}

fn place(instance: &Instance) -> String {
    let host = match instance.addresses.first() {
        Some(address) => address.to_string(),
        None => instance.host.as_deref().unwrap().to_owned(),
    };
    let port = instance.main_port(Protocol::Tcp).unwrap().number;
    format!("{host} {port}")
}

/// The example of the servicecomb-pack documentation, written by Spring Cloud.
const SPRING: &str = r#"{"name":"servicecomb-alpha-server",
    "id":"9b2223ae-50e6-49a6-9f3b-87a1ff06a016","address":"arch-office","port":8090,"sslPort":null,
    "payload":{"@class":"org.springframework.cloud.zookeeper.discovery.ZookeeperInstance",
    "id":"servicecomb-alpha-server-1","name":"servicecomb-alpha-server",
    "metadata":{"servicecomb-alpha-server":"arch-office:8080"}},"registrationTimeUTC":1558000134185,
    "serviceType":"DYNAMIC","uriSpec":{"parts":[{"value":"scheme","variable":true},
    {"value":"://","variable":false},{"value":"address","variable":true},
    {"value":":","variable":false},{"value":"port","variable":true}]}}"#;

#[test]
fn every_format_is_recognized_by_its_look() {
    for (text, expected) in [
        (r#"["127.0.0.1","9099"]"#, "127.0.0.1 9099"),
        (r#" [ "127.0.0.1" , 9099, "x", null ] "#, "127.0.0.1 9099"),
        (r#"["::1","9099"]"#, "::1 9099"),
        (r#"["Db.example.com.",80]"#, "db.example.com 80"),
        ("10.0.0.1:80\n", "10.0.0.1 80"),
        ("[2001:db8::1]:80", "2001:db8::1 80"),
        ("\"db:80\"", "db 80"),
        (
            r#"{"host":"1.2.3.4","port":3000,"name":"i-1"}"#,
            "1.2.3.4 3000",
        ),
        (r#"{"address":"1.2.3.4","port":"3000"}"#, "1.2.3.4 3000"),
        (r#"{"ip":"1.2.3.4","ports":{"http":81}}"#, "1.2.3.4 81"),
        (SPRING, "arch-office 8090"),
    ] {
        assert_eq!(place(&auto(text)), expected, "{text}");
    }
}

#[test]
fn the_record_is_the_origin_and_the_name_the_id() {
    let instance = auto(r#"["127.0.0.1","9099"]"#);
    assert_eq!(instance.id.as_str(), "s1");
    let origin = &instance.origin;
    assert_eq!((&*origin.source, &*origin.path), ("zk", "/service/what/s1"));
    assert_eq!(origin.revision, Some(7));
    assert_eq!(
        origin.since,
        Some(Timestamp::from_millis(1_558_000_134_185))
    );
}

#[test]
fn what_is_wrong_is_named() {
    for (text, reason) in [
        ("", "the record is empty"),
        (" \n", "the record is empty"),
        ("hello", "`hello` looks like no known format"),
        (
            r#"["127.0.0.1","70000"]"#,
            "port 70000 is not between 1 and 65535",
        ),
        (r#"["127.0.0.1",0]"#, "port 0 is not between 1 and 65535"),
        (
            r#"["127.0.0.1","http"]"#,
            "port `\"http\"` is not a whole number",
        ),
        (r#"["127.0.0.1",80.5]"#, "port `80.5` is not a whole number"),
        (
            r#"["127.0.0.1"]"#,
            "a list of 1 elements, not of host and port",
        ),
        (r#"[127,80]"#, "host `127` is not a text"),
        (
            r#"["300.1.1.1",80]"#,
            "`300.1.1.1` is neither an address nor a host name",
        ),
        (r#"["127.0.0.1","#, "not JSON: EOF while parsing a value"),
        ("10.0.0.1:http", "port `http` is not a whole number"),
        ("10.0.0.1:70000", "port 70000 is not between 1 and 65535"),
        ("::1:80", "an IPv6 address needs brackets: `[::1]:80`"),
        (r#"{"port":80}"#, "`host` or `address` or `ip` is missing"),
        (
            r#"{"host":5,"port":80}"#,
            "`host` or `address` or `ip` is `5`, not a text",
        ),
        (r#"{"host":"a"}"#, "`port` is missing"),
        (
            r#"{"host":"a","port":80,"weight":70000}"#,
            "weight 70000 is not between 0 and 65535",
        ),
        (
            r#"{"host":"a","port":80,"state":"well"}"#,
            "state `well` is none of",
        ),
        (
            r#"{"host":"a","ports":[80]}"#,
            "`ports` is `[80]`, not an object",
        ),
        (
            r#"{"host":"a","ports":{"a b":80}}"#,
            "port name `a b` has ' '",
        ),
        (r#"{"uriSpec":null,"port":80}"#, "`address` is missing"),
    ] {
        let error = read(Format::Auto, text).unwrap_err();
        assert!(error.starts_with(reason), "{text}: {error}");
    }
    let error = read(Format::Auto, b"abc\xff\xfe").unwrap_err();
    assert_eq!(error, "binary rubbish: invalid UTF-8 at byte 3");
    let error = read(Format::Auto, vec![b'x'; 2 << 20]).unwrap_err();
    assert_eq!(error, "2097152 bytes, more than 65536");
}

#[test]
fn a_configured_format_takes_no_other() {
    let list = r#"["127.0.0.1","9099"]"#;
    assert!(read(Format::KazooList, list).is_ok());
    for format in [Format::HostPort, Format::JsonObject, Format::Curator] {
        assert!(read(format, list).is_err(), "{format:?}");
    }
    let error = read(Format::KazooList, r#"{"host":"a","port":80}"#).unwrap_err();
    assert!(error.ends_with("is no list of host and port"), "{error}");
    assert!(read(Format::Curator, r#"{"address":"a","port":80}"#).is_ok());
}

#[test]
fn an_object_may_say_more() {
    let instance = auto(
        r#"{"id":"A1","host":"h","port":80,"ports":{"admin":"81"},"weight":"5","priority":2,
            "state":"draining","tags":["b","a"],"labels":{"zone":"z1","n":5,"deep":{}},"ttl":9}"#,
    );
    assert_eq!(instance.id.as_str(), "a1");
    let ports: Vec<_> = instance.ports.iter().map(|port| port.number).collect();
    assert_eq!(ports, [80, 81]);
    assert_eq!((instance.weight, instance.priority), (5, 2));
    assert_eq!(instance.state, State::Draining);
    assert_eq!(instance.tags[..], ["a".into(), "b".into()]);
    let attributes: Vec<_> = instance
        .attributes
        .iter()
        .map(|(k, v)| (&**k, &**v))
        .collect();
    assert_eq!(attributes, [("n", "5"), ("zone", "z1")]);
}

#[test]
fn curators_instance_has_its_own_id_and_ports() {
    let instance = auto(SPRING);
    assert_eq!(instance.id.as_str(), "9b2223ae-50e6-49a6-9f3b-87a1ff06a016");
    assert_eq!(instance.state, State::Up);
    assert_eq!(
        &*instance.attributes["servicecomb-alpha-server"],
        "arch-office:8080"
    );

    let instance = auto(r#"{"id":"a","address":"::1","port":null,"sslPort":443}"#);
    assert_eq!(instance.ports.len(), 1);
    assert_eq!(instance.ports[0].name.as_ref().unwrap().as_str(), "https");
    assert!(
        auto(r#"{"address":"::1","serviceType":"STATIC"}"#)
            .ports
            .is_empty()
    );
}

#[test]
fn curators_instance_can_be_out_of_service() {
    for (more, state) in [
        (r#""enabled":true"#, State::Up),
        (r#""enabled":false"#, State::Down),
        (r#""enabled":null,"payload":"opaque""#, State::Up),
        (r#""payload":["java.util.ArrayList",[1]]"#, State::Up),
        (
            r#""payload":{"metadata":{"instance_status":"UP"}}"#,
            State::Up,
        ),
        (
            r#""payload":{"metadata":{"instance_status":"OUT_OF_SERVICE"}}"#,
            State::Down,
        ),
        (
            r#""payload":{"metadata":{"instance_status":"DOWN"}}"#,
            State::Down,
        ),
    ] {
        let text = format!(r#"{{"address":"a","port":1,"serviceType":"DYNAMIC",{more}}}"#);
        assert_eq!(auto(&text).state, state, "{more}");
    }
}

proptest! {
    #[test]
    fn no_bytes_are_too_strange(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(instances) = read(Format::Auto, bytes) {
            prop_assert_eq!(instances.len(), 1);
        }
    }

    #[test]
    fn what_a_writer_of_lists_means_is_read(a in any::<[u8; 4]>(), port in 1..=u16::MAX) {
        let host = std::net::Ipv4Addr::from(a);
        let texts = [
            format!(r#"["{host}","{port}"]"#),
            format!(r#"["{host}",{port}]"#),
            format!("{host}:{port}"),
            format!(r#"{{"host":"{host}","port":{port}}}"#),
        ];
        for text in texts {
            prop_assert_eq!(place(&auto(&text)), format!("{host} {port}"));
        }
    }
}
