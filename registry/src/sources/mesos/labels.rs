//! Labels out of the names that people give to tasks and frameworks, as Mesos-DNS makes them.

/// The longest label (RFC 1123, RFC 1035 section 2.3.4).
const LABEL_BYTES_MAX: usize = 63;

/// Makes one label: letters in lower case, digits and dashes; dots and underscores become dashes, and
/// what DNS can't carry is left out. Empty when nothing is left.
pub(crate) fn label(text: &str) -> String {
    let mapped: String = text.chars().filter_map(mapped).collect();
    cut_label(mapped.trim_start_matches('-'), LABEL_BYTES_MAX)
}

/// Cuts a label of ASCII characters to `bytes_max`, without dashes at its end.
///
/// A run of dashes at the cut is skipped, and what comes behind it moves up, as in Mesos-DNS; there the
/// result may end in a dash all the same, here it never does.
pub fn cut_label(label: &str, bytes_max: usize) -> String {
    let end = label.len().min(bytes_max);
    let (Some(head), Some(tail)) = (label.get(..end), label.get(end..)) else {
        return label.to_owned();
    };
    let mut cut = head.trim_end_matches('-').to_owned();
    if cut.len() < head.len() {
        let room = head.len() - cut.len();
        cut.extend(tail.trim_start_matches('-').chars().take(room));
        cut.truncate(cut.trim_end_matches('-').len());
    }
    cut
}

/// Makes the labels of a name with dots; those that would be empty are left out.
pub(super) fn labels(text: &str) -> String {
    let labels = text.split('.').map(label);
    let labels: Vec<_> = labels.filter(|label| !label.is_empty()).collect();
    labels.join(".")
}

fn mapped(c: char) -> Option<char> {
    match c {
        'A'..='Z' => Some(c.to_ascii_lowercase()),
        'a'..='z' | '0'..='9' => Some(c),
        '-' | '.' | '_' => Some('-'),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What Mesos-DNS's own tests ask for, but for dashes at the end.
    #[test]
    fn a_label_is_what_mesos_dns_makes_of_it() {
        let long = "$$fdgsf---gs7-fgs--d7fddg123456789012345678901234567890123456789-123";
        let cut = "fdgsf---gs7-fgs--d7fddg1234567890123456789012345678901234567891";
        let skipped = format!("hello{}f", "-".repeat(58));
        let kept = format!("hello{}f", "-".repeat(56));
        for (text, expected) in [
            ("", ""),
            ("a", "a"),
            ("-", ""),
            ("a---", "a"),
            ("---a---", "a"),
            ("---a---b", "a---b"),
            ("a.b.c.d.e", "a-b-c-d-e"),
            ("a.c.d_de.", "a-c-d-de"),
            ("4abc123", "4abc123"),
            ("-4abc123", "4abc123"),
            ("abc123-", "abc123"),
            ("abc--123", "abc--123"),
            ("r29f.dev.angrypigs", "r29f-dev-angrypigs"),
            ("89fdgsf---gs7-fgs--d7fddg-", "89fdgsf---gs7-fgs--d7fddg"),
            (
                "chronos with a space AND MIXED CASE-2.0.1",
                "chronoswithaspaceandmixedcase-2-0-1",
            ),
            (long, cut),
            (&skipped, "hellof"),
            (&kept, &kept),
            ("caf\u{e9} $1", "caf1"),
        ] {
            assert_eq!(label(text), expected, "{text}");
        }
    }

    #[test]
    fn a_label_never_ends_in_a_dash() {
        let text = format!("{}--b-", "a".repeat(61));
        assert_eq!(label(&text), format!("{}b", "a".repeat(61)));
    }

    #[test]
    fn a_name_keeps_its_dots_and_no_empty_labels() {
        for (text, expected) in [
            (".", ""),
            ("abc.", "abc"),
            ("a..c", "a.c"),
            (".a.c", "a.c"),
            ("(@ host . com", "host.com"),
            ("MiXeDcase.CoM", "mixedcase.com"),
            (
                "pod_123$abc.marathon-0.6.0-dev.mesos",
                "pod-123abc.marathon-0.6.0-dev.mesos",
            ),
        ] {
            assert_eq!(labels(text), expected, "{text}");
        }
    }
}
