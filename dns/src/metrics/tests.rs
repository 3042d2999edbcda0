use super::*;
use crate::{
    Config, Outcome, Zones,
    rate_limit::Verdict,
    testing::{Ask, metrics_text, web_by},
    wire::rtype,
};

fn answered(zone: ZoneSlot, qtype: QueryType, rcode: Rcode, truncated: bool) -> Outcome {
    Outcome::Answered {
        bytes: 1,
        rcode,
        truncated,
        cookie: match truncated {
            true => CookieKind::ClientOnly,
            false => CookieKind::Absent,
        },
        zone,
        qtype,
    }
}

fn contains(metrics: &Arc<Metrics>, lines: &[&str]) {
    let text = metrics_text(metrics);
    for line in lines {
        assert!(text.lines().any(|one| one == *line), "{line} in\n{text}");
    }
}

#[test]
fn what_the_threads_count_is_summed_up() {
    let metrics = Arc::new(Metrics::default());
    let zone = metrics.slot(&Name::parse("svc.internal").unwrap());
    let (one, two) = (metrics.counters(), metrics.counters());
    let bad = answered(ZoneSlot::NONE, QueryType::None, Rcode::BadVers, false);
    for (counters, transport, outcome) in [
        (
            &one,
            Transport::Udp,
            answered(zone, QueryType::A, Rcode::NoError, true),
        ),
        (&one, Transport::Tcp, bad),
        (
            &two,
            Transport::Udp,
            answered(zone, QueryType::A, Rcode::NoError, false),
        ),
        (
            &two,
            Transport::Tcp,
            answered(zone, QueryType::Srv, Rcode::NxDomain, false),
        ),
        (&two, Transport::Udp, Outcome::Dropped),
    ] {
        counters.count_query(transport, outcome);
        counters.count_answer(outcome);
    }
    for verdict in [Verdict::Send, Verdict::Slip, Verdict::Drop, Verdict::Drop] {
        one.count_verdict(verdict);
    }
    two.connection_opened();
    two.connection_opened();
    two.connection_closed();
    one.connection_evicted();
    two.connection_evicted();
    contains(
        &metrics,
        &[
            "signpost_dns_queries_total{zone=\"svc.internal\",type=\"A\",transport=\"udp\"} 2",
            "signpost_dns_queries_total{zone=\"svc.internal\",type=\"SRV\",transport=\"tcp\"} 1",
            "signpost_dns_queries_total{zone=\"\",type=\"\",transport=\"udp\"} 1",
            "signpost_dns_queries_total{zone=\"\",type=\"\",transport=\"tcp\"} 1",
            "signpost_dns_answers_total{zone=\"svc.internal\",rcode=\"NOERROR\"} 2",
            "signpost_dns_answers_total{zone=\"svc.internal\",rcode=\"NXDOMAIN\"} 1",
            "signpost_dns_answers_total{zone=\"svc.internal\",rcode=\"SERVFAIL\"} 0",
            "signpost_dns_answers_total{zone=\"\",rcode=\"BADVERS\"} 1",
            "signpost_dns_cookies_total{kind=\"absent\"} 3",
            "signpost_dns_cookies_total{kind=\"client_only\"} 1",
            "signpost_dns_truncated_answers_total 1",
            "signpost_dns_rate_limited_answers_total{verdict=\"slip\"} 1",
            "signpost_dns_rate_limited_answers_total{verdict=\"drop\"} 2",
            "signpost_dns_dropped_queries_total 1",
            "signpost_dns_unsent_answers_total 0",
            "signpost_dns_tcp_connections 1",
            "signpost_dns_tcp_evicted_connections_total 2",
        ],
    );
    assert!(!metrics_text(&metrics).contains("(other)"));
}

#[test]
fn durations_are_those_of_each_answer() {
    let metrics = Arc::new(Metrics::default());
    let (one, two) = (metrics.counters(), metrics.counters());
    one.count_duration(Transport::Udp, Duration::from_micros(20), 3);
    two.count_duration(Transport::Udp, Duration::from_millis(200), 2);
    two.count_duration(Transport::Tcp, Duration::from_micros(25), 1);
    let name = "signpost_dns_answer_duration_seconds";
    let lines = [
        "_bucket{le=\"0.00001\",transport=\"udp\"} 0",
        "_bucket{le=\"0.000025\",transport=\"udp\"} 3",
        "_bucket{le=\"0.1\",transport=\"udp\"} 3",
        "_bucket{le=\"+Inf\",transport=\"udp\"} 5",
        "_count{transport=\"udp\"} 5",
        "_sum{transport=\"udp\"} 0.40006",
        "_bucket{le=\"0.000025\",transport=\"tcp\"} 1",
        "_count{transport=\"tcp\"} 1",
    ];
    let lines = lines.map(|line| format!("{name}{line}"));
    contains(&metrics, &lines.each_ref().map(String::as_str));
}

#[test]
fn codes_are_counted_at_their_place_in_the_list() {
    for (index, rcode) in Rcode::ALL.into_iter().enumerate() {
        assert_eq!(rcode as usize, index);
    }
}

/// The zone and the type that a query over UDP is counted for.
fn counted(zones: &Zones, ask: &Ask) -> (ZoneSlot, QueryType) {
    match ask.of(zones).outcome {
        Outcome::Answered { zone, qtype, .. } => (zone, qtype),
        other => panic!("a query is answered: {other:?}"),
    }
}

#[test]
fn queries_are_counted_for_the_zone_of_the_name_whatever_the_answer() {
    let metrics = Metrics::default();
    let config = "reverse.networks = ['10.0.0.0/8']\n[[zones]]\ndomain = 'a.test'\n\
        [[zones]]\ndomain = 'b.test'\n";
    let zones = web_by(config).counted_by(&metrics);
    let domains = ["a.test", "b.test", "10.in-addr.arpa"];
    let [a, b, ten] = domains.map(|domain| metrics.slot(&Name::parse(domain).unwrap()));
    for (name, qtype, expected) in [
        ("web.a.test", rtype::A, (a, QueryType::A)),
        ("no.web.b.test", rtype::AAAA, (b, QueryType::Aaaa)),
        ("B.test", rtype::SOA, (b, QueryType::Soa)),
        ("a.test", rtype::AXFR, (a, QueryType::Other)),
        ("web.c.test", rtype::A, (ZoneSlot::NONE, QueryType::A)),
        ("1.0.0.10.in-addr.arpa", rtype::PTR, (ten, QueryType::Ptr)),
        (
            "1.0.0.127.in-addr.arpa",
            rtype::PTR,
            (ZoneSlot::NONE, QueryType::Ptr),
        ),
    ] {
        assert_eq!(counted(&zones, &Ask::new(name, qtype)), expected, "{name}");
    }
    let mut chaos = Ask::new("web.a.test", rtype::TXT);
    chaos.class = 3;
    assert_eq!(counted(&zones, &chaos), (ZoneSlot::NONE, QueryType::Txt));
    // By another configuration, too.
    let other = web_by("[[zones]]\ndomain = 'b.test'\n").counted_by(&metrics);
    let ask = Ask::new("web.b.test", rtype::A);
    assert_eq!(counted(&other, &ask), (b, QueryType::A));
    // Nobody knows what to call the zones of nobody's metrics.
    let config = Config::default();
    let nameless = Zones::build(&config, &registry::testing::snapshot(1, []));
    let ask = Ask::new("web.svc.internal", rtype::A);
    assert_eq!(counted(&nameless, &ask), (ZoneSlot::OTHER, QueryType::A));
}
