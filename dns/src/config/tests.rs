use super::*;

fn problems(text: &str) -> Vec<String> {
    let config: Config = toml::from_str(text).unwrap();
    config.problems().iter().map(ToString::to_string).collect()
}

#[test]
fn the_defaults_are_good_and_what_an_empty_section_means() {
    assert_eq!(problems(""), <[String; 0]>::default());
    let config: Config = toml::from_str("").unwrap();
    assert_eq!(config, Config::default());
    assert_eq!(config.zones[0].domain.to_string(), "svc.internal");
}

#[test]
fn a_zone_is_read_with_all_its_keys() {
    let text = "[[zones]]\ndomain = \"SVC.example.\"\nscheme = \"plain\"\nttl = \"1m\"\n\
        negative_ttl = \"2s\"\nmax_answers = 3\nwildcard = true\nsources = [\"zk\"]\nall_down = \"all\"\ncname = true\nname_server = \"ns1.example\"\nhostmaster = \"a.b@example\"\n";
    let config: Config = toml::from_str(text).unwrap();
    let [zone] = &config.zones[..] else {
        panic!("{config:?}");
    };
    assert_eq!(zone.domain.to_string(), "svc.example");
    assert_eq!((zone.ttl.as_ttl(), zone.max_answers), (60, 3));
    assert_eq!(zone.all_down, AllDown::All);
    assert!(zone.wildcard);
    assert_eq!(zone.sources, Some(vec!["zk".to_owned()]));
    assert!(zone.cname);
    let mailbox = zone.hostmaster.as_ref().unwrap();
    assert_eq!(mailbox.name().as_bytes(), b"\x03a.b\x07example");
}

#[test]
fn what_cannot_work_is_a_problem_with_its_key() {
    let text = "listen = [\"127.0.0.1:53\", \"[::1]:53\", \"127.0.0.1:53\"]\n\
        udp_payload_max = 100\ntcp_connections_max = 0\ntcp_idle_timeout = \"0s\"\n\
        cookies = { secret_file = \"/dev/null\" }\n\
        rate_limit.burst = \"500ms\"\nrate_limit.ipv4_prefix = 33\nrate_limit.ipv6_prefix = 0\n\
        rate_limit.prefixes_max = 0\n\
        [[zones]]\ndomain = \"a.b\"\nttl = \"8days\"\n[[zones]]\ndomain = \"A.b.\"\n\
        negative_ttl = \"5ms\"\n[[zones]]\ndomain = \"x.a.b\"\nsources = []\n";
    assert_eq!(
        problems(text),
        [
            "listen[2]: 127.0.0.1:53 is listed twice",
            "zones[0].ttl: 8days is not between 1s and 7days",
            "zones[1].domain: `a.b` is the domain of zones[0] too",
            "zones[1].negative_ttl: 5ms is not between 1s and 7days",
            "zones[2].sources: without a source the zone has nothing; without the key it has all",
            "udp_payload_max: 100 is not between 512 and 4096",
            "tcp_connections_max: 0 would refuse everybody",
            "tcp_idle_timeout: 0s would refuse everybody",
            "cookies.secret_file: /dev/null is empty",
            "rate_limit.burst: 500ms is not between 1s and 1h",
            "rate_limit.ipv4_prefix: 33 is not between 1 and 32",
            "rate_limit.ipv6_prefix: 0 is not between 1 and 128",
            "rate_limit.prefixes_max: 0 is not between 1024 and 16777216",
        ]
    );
}

#[test]
fn what_is_told_of_the_server_has_to_fit() {
    let texts = |nsid: usize, chaos: usize| {
        let (nsid, chaos) = ("é".repeat(nsid / 2), "x".repeat(chaos));
        problems(&format!(
            "nsid = \"{nsid}\"\n[chaos]\nversion = \"{chaos}\"\nid = \"{chaos}\"\n"
        ))
    };
    assert_eq!(texts(64, 255), <[String; 0]>::default());
    assert_eq!(
        texts(66, 256),
        [
            "nsid: 66 bytes, more than 64",
            "chaos.version: 256 bytes, more than 255",
            "chaos.id: 256 bytes, more than 255",
        ]
    );
}

#[test]
fn bad_patterns_and_their_times_are_problems() {
    let text = "[ttl]\n\"*.batch\" = \"1m\"\n\"a.*.*\" = \"1s\"\n\"a b\" = \"1s\"\n\
        \"api-*\" = \"8days\"\n\"web\" = \"10ms\"\n\"Web\" = \"1s\"\n";
    assert_eq!(
        problems(text),
        [
            "ttl.\"a b\": service name `a b` has ' ', which is no letter, digit, `-` or `_`",
            "ttl.\"a.*.*\": `a.*.*` has more than one `*`",
            "ttl.\"api-*\": 8days is not between 1s and 7days",
            "ttl.\"web\": `web` means the same as `Web`",
            "ttl.\"web\": 10ms is not between 1s and 7days",
        ]
    );
}

#[test]
fn networks_have_the_domains_of_their_reverse_zones() {
    for (network, domain) in [
        ("0.0.0.0/0", "in-addr.arpa"),
        ("10.0.0.0/8", "10.in-addr.arpa"),
        ("192.0.2.0/24", "2.0.192.in-addr.arpa"),
        ("192.0.2.1/32", "1.2.0.192.in-addr.arpa"),
        ("::/0", "ip6.arpa"),
        ("2001:db8::/32", "8.b.d.0.1.0.0.2.ip6.arpa"),
        ("fd00::/8", "d.f.ip6.arpa"),
    ] {
        let parsed: Network = network.parse().unwrap();
        assert_eq!(parsed.domain().to_string(), domain);
        assert_eq!(parsed.to_string(), network);
    }
    let one: Network = "::1/128".parse().unwrap();
    assert_eq!(one.domain().as_bytes().len(), 73);
}

#[test]
fn networks_without_a_reverse_zone_of_their_own_are_refused() {
    for (network, reason) in [
        ("10.0.0.0", "`10.0.0.0` is not a network such as"),
        ("10.0.0.0/33", "`10.0.0.0/33` is not a network such as"),
        ("10.1.0.0/8", "10.0.0.0/8 may be meant"),
        ("10.16.0.0/12", "must be that of whole octets of IPv4"),
        ("2001:db8::/30", "must be that of whole nibbles of IPv6"),
    ] {
        let text = format!("[reverse]\nnetworks = [\"{network}\"]");
        let error = toml::from_str::<Config>(&text).unwrap_err().to_string();
        assert!(error.contains(reason), "{network}: {error}");
    }
    let text = "zones = []\n[reverse]\nttl = \"0s\"\n\
        networks = [\"10.1.0.0/16\", \"10.0.0.0/8\", \"fd00::/8\", \"fd00::/8\"]\n";
    assert_eq!(
        problems(text),
        [
            "reverse.networks: there is no zone whose names they could lead to",
            "reverse.networks[0]: 10.1.0.0/16 is in networks[1] (10.0.0.0/8) already",
            "reverse.networks[3]: fd00::/8 is in networks[2] (fd00::/8) already",
            "reverse.ttl: 0s is not between 1s and 7days",
        ]
    );
}

#[test]
fn a_zone_below_another_is_worth_a_warning_wherever_it_stands() {
    let warnings = |domains: &[&str]| {
        let zones = domains
            .iter()
            .map(|domain| format!("[[zones]]\ndomain = \"{domain}\"\n"));
        let text = zones.collect::<String>();
        assert_eq!(problems(&text), <[String; 0]>::default());
        let config: Config = toml::from_str(&text).unwrap();
        let warnings = config.warnings();
        warnings.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(
        warnings(&["y.x.a.b", "A.B"]),
        [
            "zones[0].domain: names of zones[1] (`a.b`) at and below `y.x.a.b` are hidden by this zone"
        ]
    );
    let apart = ["a.b", "xa.b", "b.a", "c"];
    assert_eq!(warnings(&apart), <[String; 0]>::default());
}

#[test]
fn a_bad_domain_or_an_unknown_key_is_refused_with_the_value() {
    for (text, reason) in [
        (
            "[[zones]]\ndomain = \"a b\"",
            "`a b` is not a domain: it has ' '",
        ),
        ("[[zones]]\ndomain = \"\"", "it has a label of 0 bytes"),
        ("[[zones]]\ndomain = \"-a\"", "starts or ends with `-`"),
        ("[[zones]]\nttl = \"5s\"", "missing field `domain`"),
        (
            "[[zones]]\ndomain = \"a\"\nhostmaster = \"a\"",
            "`a` is not a mailbox",
        ),
        ("lisen = []", "unknown field `lisen`"),
    ] {
        let error = toml::from_str::<Config>(text).unwrap_err().to_string();
        assert!(error.contains(reason), "{text}: {error}");
    }
}
