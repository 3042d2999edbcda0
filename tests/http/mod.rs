//! Good and bad requests by the clauses of RFC 9110 and 9112, sent through the proxy to a server that
//! writes down what arrives; three parsers read it and have to agree.

mod case;
mod exchange;
mod origin;
mod readers;

use std::collections::HashSet;

use proxy::testing::{self, End};

use self::{
    case::{Case, all, text},
    exchange::{Outcome, Pieces, run},
    readers::{Message, Row},
};

/// The headers that differ from one proxy to another.
const VARYING: [&str; 2] = ["x-request-id", "x-forwarded-port"];

#[test]
fn the_corpus_is_large_and_every_case_has_its_own_name() {
    let cases = all();
    assert!(cases.len() >= 200, "{}", cases.len());
    let names: HashSet<&str> = cases.iter().map(|case| case.name.as_str()).collect();
    assert_eq!(names.len(), cases.len());
    let refused = cases.iter().filter(|case| case.arrives.is_empty()).count();
    assert!(refused > 100 && cases.len() - refused > 60, "{refused}");
}

#[test]
fn what_arrives_is_read_in_one_way_only() {
    let cases = all();
    let mut faults = Vec::new();
    let mut arrived = Vec::new();
    for case in &cases {
        for pieces in [Pieces::Whole, Pieces::Bytes] {
            let outcome = run(case, pieces);
            let mut fault = |text| {
                faults.push(format!(
                    "{} ({}), {pieces:?}: {text}",
                    case.name, case.clause
                ))
            };
            check_answers(case, &outcome, &mut fault);
            let rows: Vec<_> = outcome
                .records
                .iter()
                .map(|one| readers::ours(&one.bytes))
                .collect();
            check_arrivals(case, &rows, &mut fault);
            for (record, row) in outcome.records.into_iter().zip(rows) {
                if record.requests != row.requests.len() {
                    fault(format!(
                        "the server has seen {} requests: {row:?}",
                        record.requests
                    ));
                }
                arrived.push((case, text(&record.bytes), row));
            }
        }
    }
    let connections: Vec<_> = arrived.iter().map(|(_, bytes, _)| bytes.clone()).collect();
    let readers = [
        ("node", readers::node(&connections)),
        ("h11", readers::h11(&connections)),
    ];
    for (reader, rows) in readers
        .into_iter()
        .filter_map(|(name, rows)| Some((name, rows?)))
    {
        for ((case, bytes, ours), theirs) in arrived.iter().zip(rows) {
            let unread = match reader {
                "node" => &case.unread_by.node,
                _ => &case.unread_by.h11,
            };
            if (theirs == *ours) == unread.is_some() {
                let name = &case.name;
                faults.push(format!(
                    "{name}: {reader} reads {bytes:?} as\n{theirs:?}, we as\n{ours:?}"
                ));
            }
        }
    }
    assert!(
        faults.is_empty(),
        "{} faults\n{}",
        faults.len(),
        faults.join("\n")
    );
}

fn check_answers(case: &Case, outcome: &Outcome, fault: &mut impl FnMut(String)) {
    let mut expected = case.answers.clone();
    if !case.closes && !case.ends && case.answers.last() != Some(&101) {
        expected.push(200);
    }
    let statuses: Vec<u16> = outcome.answers.iter().map(|(status, _)| *status).collect();
    if statuses != expected || !outcome.rest.is_empty() {
        return fault(format!(
            "answered {:?}, then {:?}",
            outcome.answers, outcome.rest
        ));
    }
    let last = case
        .answers
        .len()
        .checked_sub(1)
        .map(|at| &outcome.answers[at].1);
    let reason = last.and_then(|body| serde_json::from_str::<serde_json::Value>(body).ok());
    let reason = reason
        .as_ref()
        .and_then(|document| document["reason"].as_str());
    if reason.unwrap_or_default() != case.reason {
        fault(format!("the reason is {reason:?}"));
    }
}

fn check_arrivals(case: &Case, rows: &[Row], fault: &mut impl FnMut(String)) {
    let messages: Vec<&Message> = rows.iter().flat_map(|row| &row.requests).collect();
    let mut expected = case.arrives.clone();
    if !case.closes && !case.ends && case.answers.last() != Some(&101) {
        expected.push("GET /one-more".to_owned());
    }
    let lines: Vec<String> = messages.iter().map(|message| line(message)).collect();
    if lines != expected {
        fault(format!("{lines:?} has arrived"));
    }
    for row in rows
        .iter()
        .filter(|row| !["", "cut"].contains(&row.rest.as_str()))
    {
        if row.rest != format!("tunnel: {}", case.tunnels) {
            fault(format!("the rest is {:?}", row.rest));
        }
    }
    let fields = || {
        messages
            .iter()
            .flat_map(|one| one.headers.iter().chain(&one.trailers))
    };
    for line in &case.carries {
        if !fields().any(|(name, value)| *line == format!("{name}: {value}")) {
            fault(format!("{line:?} has not arrived: {messages:?}"));
        }
    }
    for lacked in &case.lacks {
        if fields().any(|(name, _)| name == lacked) {
            fault(format!("{lacked:?} has arrived: {messages:?}"));
        }
    }
    for message in &messages {
        if let Some(why) = unclean(message) {
            fault(format!("{why}: {message:?}"));
        }
    }
    // Whom nobody serves is no matter of parsing.
    if case.config.is_empty() && !case.answers.contains(&404) {
        check_reading(case, &messages, fault);
    }
}

/// Compares what has arrived with what the pure parser passes on of the same bytes.
fn check_reading(case: &Case, arrived: &[&Message], fault: &mut impl FnMut(String)) {
    let (forwarded, end) = testing::forward_requests(&case.bytes());
    let row = readers::ours(&forwarded);
    let without = |message: &Message| {
        let mut message = message.clone();
        message
            .headers
            .retain(|(name, _)| !VARYING.contains(&name.as_str()));
        message
    };
    let expected = row.requests.iter().map(without);
    let found = arrived.iter().map(|message| without(message));
    let count = case.arrives.len();
    if !found.take(count).eq(expected.take(count)) {
        fault(format!(
            "the parser passes {:?} on, then {end:?}",
            row.requests
        ));
    }
    if let End::Refused(status) = end
        && case.tunnels.is_empty()
        && case.answers.last() != Some(&status)
    {
        fault(format!("the parser refuses it with {status}"));
    }
}

fn line(message: &Message) -> String {
    let Message {
        method,
        target,
        body,
        ..
    } = message;
    match body.as_str() {
        "" => format!("{method} {target}"),
        body => format!("{method} {target} {body}"),
    }
}

/// Says what no request that arrives may be like.
fn unclean(message: &Message) -> Option<&'static str> {
    let values = |name: &str| -> Vec<&str> {
        let lines = message.headers.iter().filter(|(one, _)| one == name);
        lines.map(|(_, value)| value.as_str()).collect()
    };
    let has = |name: &str| !values(name).is_empty();
    let allowed = |name: &str, values_allowed: &[&str]| {
        values(name)
            .iter()
            .all(|value| values_allowed.contains(value))
    };
    if values("host").len() != 1 {
        return Some("there isn't one host");
    }
    if values("content-length").len() + values("transfer-encoding").len() > 1 {
        return Some("there are several lengths");
    }
    if !allowed("transfer-encoding", &["chunked"]) {
        return Some("there is another transfer coding");
    }
    if !allowed("connection", &["upgrade", "te"]) || !allowed("te", &["trailers"]) {
        return Some("what was for one connection has passed");
    }
    let alone = [
        "keep-alive",
        "proxy-connection",
        "proxy-authorization",
        "proxy",
        "trailer",
    ];
    if alone.iter().any(|name| has(name) && *name != "trailer") {
        return Some("what was for one connection has passed");
    }
    let ours = ["x-forwarded-for", "forwarded", "x-request-id"];
    if ours.iter().any(|name| values(name).len() != 1) {
        return Some("what we say of the client is not there once");
    }
    let names = message.headers.iter().chain(&message.trailers);
    let hidden = names
        .map(|(name, _)| name)
        .any(|name| name.starts_with("x_forwarded"));
    hidden.then_some("a name that looks like ours has passed")
}
