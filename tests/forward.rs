//! Names that are nobody's here, with real name servers that know them.

use std::{
    io::{Read as _, Write as _},
    net::{Shutdown, SocketAddr, TcpStream},
    time::Duration,
};

use hickory_proto::{
    op::{Message, MessageType, OpCode, Query, ResponseCode},
    rr::RecordType,
};

use crate::support::{
    client::{addresses, query},
    dns_server::{DnsServer, Kind},
    eventually, free_ports, run,
    signpost::Signpost,
};

const SOA: &str =
    "@ 300 IN SOA ns hostmaster 1 3600 600 86400 60\n@ 300 IN NS ns\nns IN A 127.0.0.1\n";

/// A zone with little, an alias, and a name with so many addresses that they don't fit.
fn zone() -> String {
    let many: String = (0..200)
        .map(|n| format!("many 300 IN A 10.9.0.{n}\n"))
        .collect();
    format!(
        "$TTL 300\n{SOA}www IN A 192.0.2.7\nalias IN CNAME www\n\
             _s._tcp.a IN CNAME _s._tcp.b\n_s._tcp.b IN SRV 0 0 80 www\n{many}"
    )
}

fn message(name: &str, id: u16) -> Vec<u8> {
    let mut query = Message::new(id, MessageType::Query, OpCode::Query);
    query.metadata.recursion_desired = true;
    query.add_query(Query::query(name.parse().unwrap(), RecordType::A));
    query.to_vec().unwrap()
}

fn dig(address: SocketAddr, arguments: &[&str]) -> String {
    let (server, port) = (format!("@{}", address.ip()), address.port().to_string());
    let all = [server.as_str(), "-p", &port, "+tries=1", "+time=5"];
    run("dig", &[&all[..], arguments].concat())
}

#[test]
fn other_names_are_asked_for_and_own_ones_are_not() {
    let Some(upstream) = DnsServer::start(Kind::Nsd, &[("example.test", zone())]) else {
        return;
    };
    let Some(other) = DnsServer::start(Kind::Knot, &[("other.test", zone())]) else {
        return;
    };
    // The first one isn't there, and the next one answers.
    let dead = free_ports(1)[0];
    let signpost = Signpost::start(&format!(
        "[dns]\nlisten = ['0.0.0.0:0']\n\
         [dns.forward]\nresolvers = ['127.0.0.1:{dead}', '{}']\ntimeout = '200ms'\n\
         zones = {{ 'other.test' = ['{}'] }}\n",
        upstream.address, other.address
    ));
    signpost.put("web", "one", r#"{"address": "10.0.0.1", "port": 80}"#);
    let port = signpost.dns().port();
    // Answers come from where they were asked, whichever address that was.
    for host in ["127.0.0.1", "127.0.0.2"] {
        let address = format!("{host}:{port}").parse().unwrap();
        assert_eq!(dig(address, &["+short", "www.example.test"]), "192.0.2.7\n");
        let tcp = dig(address, &["+tcp", "+short", "alias.other.test"]);
        assert_eq!(tcp, "www.other.test.\n192.0.2.7\n");
    }
    let address: SocketAddr = format!("127.0.0.1:{port}").parse().unwrap();
    assert_eq!(addresses(address, "web.svc.internal."), ["10.0.0.1"]);

    let whole = dig(address, &["WWW.example.test"]);
    assert!(
        whole.contains("status: NOERROR") && whole.contains("flags: qr rd ra;"),
        "{whole}"
    );
    assert!(whole.contains(";WWW.example.test."), "{whole}");
    // What a resolver says of an alias is passed on whole.
    let srv = dig(address, &["+short", "_s._tcp.a.example.test", "SRV"]);
    assert_eq!(srv, "_s._tcp.b.example.test.\n0 0 80 www.example.test.\n");
    let without = dig(address, &["alias.example.test", "AAAA"]);
    assert!(
        without.contains("status: NOERROR")
            && without.contains("CNAME\twww.example.test.")
            && without.contains("SOA\tns.example.test."),
        "{without}"
    );
    // A client gets its cookie from here, whoever answers; RFC 7873, section 5.2.
    assert!(
        without.contains("COOKIE: ") && without.contains("(good)"),
        "{without}"
    );
    let nothing = dig(address, &["nobody.example.test"]);
    assert!(
        nothing.contains("status: NXDOMAIN") && nothing.contains("SOA"),
        "{nothing}"
    );
    let no_data = dig(address, &["www.example.test", "AAAA"]);
    assert!(
        no_data.contains("status: NOERROR") && no_data.contains("SOA"),
        "{no_data}"
    );
    // What doesn't fit says so, and comes over TCP.
    let cut = dig(address, &["+ignore", "+bufsize=1232", "many.example.test"]);
    assert!(
        cut.contains("flags: qr tc rd ra;") && cut.contains("ANSWER: 0,"),
        "{cut}"
    );
    assert_eq!(
        dig(address, &["+short", "many.example.test"])
            .lines()
            .count(),
        200
    );
    let refused = dig(address, &["+norecurse", "www.example.test"]);
    assert!(refused.contains("status: REFUSED"), "{refused}");

    // Who may not has it refused, and with the configuration that changes.
    signpost.write_config(&format!(
        "[dns]\nlisten = ['0.0.0.0:0']\n\
         [dns.forward]\nresolvers = ['{}']\nclients = ['127.0.0.2/32']\n",
        upstream.address
    ));
    eventually("nobody but one may", || {
        let answer = query(address, "www.example.test.", RecordType::A);
        answer.metadata.response_code == ResponseCode::Refused
    });
}

#[test]
fn a_connection_gets_what_it_asked_for_although_it_asks_no_more() {
    let Some(upstream) = DnsServer::start(Kind::Nsd, &[("example.test", zone())]) else {
        return;
    };
    let signpost = Signpost::start(&format!(
        "[dns.forward]\nresolvers = ['{}']\n",
        upstream.address
    ));
    signpost.put("web", "one", r#"{"address": "10.0.0.1", "port": 80}"#);
    let mut stream = TcpStream::connect(signpost.dns()).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(10)))
        .unwrap();
    let names = [
        "www.example.test.",
        "web.svc.internal.",
        "many.example.test.",
    ];
    for (id, name) in (1..).zip(names) {
        let message = message(name, id);
        let length = u16::try_from(message.len()).unwrap().to_be_bytes();
        stream.write_all(&[&length[..], &message].concat()).unwrap();
    }
    stream.shutdown(Shutdown::Write).unwrap();
    let mut all = Vec::new();
    stream.read_to_end(&mut all).unwrap();
    let mut rest = &all[..];
    let mut found = Vec::new();
    while let Some((length, more)) = rest.split_first_chunk::<2>() {
        let (answer, next) = more.split_at(usize::from(u16::from_be_bytes(*length)));
        let answer = Message::from_vec(answer).unwrap();
        found.push((answer.metadata.id, answer.answers.len()));
        rest = next;
    }
    found.sort_unstable();
    assert_eq!(found, [(1, 1), (2, 1), (3, 200)]);
}
