//! How Marathons elect who leads.

use crate::election::{Kind, Place, bracketed};

/// Marathons stand in `<path>/leader-curator/<id>-latch-<number>`, those before 1.3 in
/// `<path>/leader/member_<number>`; the data is `host:port`.
pub(super) const MARATHONS: &Kind = &Kind {
    name: "Marathons",
    below: &["/leader-curator", "/leader"],
    number,
    place,
};

fn number(name: &str) -> Option<u64> {
    let curator = name.rsplit_once("latch-").map(|(_, number)| number);
    curator
        .or_else(|| name.strip_prefix("member_"))?
        .parse()
        .ok()
}

fn place(data: &[u8]) -> Option<Place> {
    let text = std::str::from_utf8(data).ok()?.trim();
    let (host, port) = text.rsplit_once(':')?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    (!host.is_empty()).then_some((bracketed(host), port.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_counts_and_not_the_name() {
        let name = "_c_0b7a-latch-0000000012";
        assert_eq!(number(name), Some(12));
        assert_eq!(number("member_0000000003"), Some(3));
        assert_eq!(number("state"), None);
    }

    #[test]
    fn a_marathon_says_where_it_is() {
        for (data, expected) in [
            ("m1.example:8080", Some(("m1.example", 8080))),
            ("2001:db8::1:8080", Some(("[2001:db8::1]", 8080))),
            ("rubbish", None),
            (":80", None),
            ("m1:port", None),
        ] {
            let expected = expected.map(|(host, port)| (host.to_owned(), port));
            assert_eq!(place(data.as_bytes()), expected, "{data}");
        }
    }
}
