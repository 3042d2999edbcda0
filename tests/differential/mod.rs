//! What signpost answers is what NSD and Knot answer that have loaded the zone it exports.

mod answer;
mod exceptions;
mod exchange;
mod names;
mod queries;
mod services;

use std::{fs, sync::Arc};

use answer::{Answer, Difference};
use exceptions::EXCEPTIONS;
use fastrand::Rng;
use names::Names;
use queries::Query;

use crate::support::{
    dns_server::{DnsServer, Kind},
    eventually,
    signpost::Signpost,
};

/// The zones: the first has the defaults, the second every option that changes what there is, and
/// those of networks follow.
const DOMAINS: [&str; 4] = [
    "svc.internal",
    "opt.internal",
    "10.in-addr.arpa",
    "8.b.d.0.1.0.0.2.ip6.arpa",
];

/// TTLs that differ, so that each shows where it is used.
const CONFIG: &str = "
[dns]
listen = ['127.0.0.1:0']
udp_payload_max = 4096
[dns.ttl]
tree = '5s'
'*.group1' = '6s'
[dns.reverse]
networks = ['10.0.0.0/8', '2001:db8::/32']
ttl = '9s'
[[dns.zones]]
domain = 'svc.internal'
ttl = '7s'
negative_ttl = '11s'
[[dns.zones]]
domain = 'opt.internal'
ttl = '8s'
cname = true
wildcard = true
all_down = 'all'
[sources.list.file]
path = 'services.json'
";

/// How many queries every server is asked.
const QUERIES: usize = 24_000;

/// How many are made before they are asked.
const BATCH: usize = 2_000;

/// Decides services and queries.
const SEED: u64 = 9;

/// How many differences are shown of all that are found.
const SHOWN_MAX: usize = 20;

/// One query, with two answers that differ.
struct Case<'a> {
    kind: Kind,
    query: &'a Query,
    names: &'a Names,
    ours: &'a Answer,
    theirs: &'a Answer,
}

#[test]
fn other_name_servers_answer_the_same() {
    let mut rng = Rng::with_seed(SEED);
    let signpost = start(&mut rng);
    let zones = DOMAINS.map(|domain| {
        let exported = signpost.verb(&["zone", "export", domain]);
        assert!(exported.status.success(), "{exported:?}");
        (domain, String::from_utf8(exported.stdout).unwrap())
    });
    let servers = [Kind::Nsd, Kind::Knot].map(|kind| DnsServer::start(kind, &zones));
    let names = Names::of(&zones);
    let mut differences = Vec::new();
    let mut counts = vec![0; EXCEPTIONS.len()];
    for _ in 0..QUERIES / BATCH {
        let queries: Vec<_> = (0..BATCH)
            .map(|_| Query::random(&names, &mut rng))
            .collect();
        let read = |address| -> Vec<_> {
            let answers = exchange::all(address, &queries).into_iter().zip(&queries);
            answers
                .map(|(bytes, query)| Answer::read(&bytes, query))
                .collect()
        };
        let ours = read(signpost.dns());
        for server in servers.iter().flatten() {
            let theirs = read(server.address);
            for ((query, ours), theirs) in queries.iter().zip(&ours).zip(&theirs) {
                let case = Case {
                    kind: server.kind,
                    query,
                    names: &names,
                    ours,
                    theirs,
                };
                for difference in ours.differences(theirs) {
                    let mut exceptions = EXCEPTIONS.iter();
                    match exceptions.position(|exception| exception.permits(&difference, &case)) {
                        Some(at) => counts[at] += 1,
                        None => differences.push(case.describe(&difference)),
                    }
                }
            }
        }
    }
    let shown = &differences[..differences.len().min(SHOWN_MAX)];
    assert!(
        shown.is_empty(),
        "{} differences, such as\n{}",
        differences.len(),
        shown.join("\n")
    );
    if servers.iter().all(Option::is_some) {
        for (exception, count) in EXCEPTIONS.iter().zip(counts) {
            assert!(count > 0, "this doesn't occur: {}", exception.reason);
        }
    }
}

/// Starts a signpost that has all services.
fn start(rng: &mut Rng) -> Signpost {
    let directory = Arc::new(tempfile::tempdir().unwrap());
    let list = directory.path().join("services.json");
    fs::write(list, services::list(rng)).unwrap();
    let signpost = Signpost::start_in(directory, CONFIG);
    eventually("every service is known", || {
        signpost.get("/readyz").0 == 200
    });
    let (_, sources) = signpost.get("/v1/sources");
    assert_eq!(sources[0]["refused"], 0, "{sources}");
    signpost
}

impl Case<'_> {
    fn describe(&self, difference: &Difference) -> String {
        let (kind, ours, theirs) = (self.kind.name(), self.ours, self.theirs);
        let query = self.query;
        format!("{difference:?}\n  {query:?}\n  signpost: {ours:?}\n  {kind}: {theirs:?}")
    }
}
