//! Where a key stands in a parsed file, both ways: from a path to a span, from an offset to a path.

use std::ops::Range;

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

/// Returns the line and column of a byte offset, both counted from 1, columns in characters.
pub(crate) fn line_and_column(text: &str, offset: usize) -> (usize, usize) {
    let before = &text[..text.floor_char_boundary(offset.min(text.len()))];
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    (
        before.matches('\n').count() + 1,
        before[line_start..].chars().count() + 1,
    )
}

/// Returns the span of the key at `path`, or of the closest table above it that exists.
pub(crate) fn span_of(table: &DeTable<'_>, path: &str) -> Option<Range<usize>> {
    let mut span = None;
    let mut here: Option<&DeValue<'_>> = None;
    for step in steps(path) {
        let (step_span, value) = match (step, here) {
            (Step::Key(name), None) => entry(table, name)?,
            (Step::Key(name), Some(DeValue::Table(table))) => match entry(table, name) {
                Some(found) => found,
                None => return span,
            },
            (Step::Index(index), Some(DeValue::Array(array))) => match array.get(index) {
                Some(item) => (item.span(), item.get_ref()),
                None => return span,
            },
            _ => return span,
        };
        span = Some(step_span);
        here = Some(value);
    }
    span
}

/// Returns the path of the innermost key or value that covers `offset`; empty when none does.
pub(crate) fn path_at(table: &DeTable<'_>, offset: usize) -> String {
    let mut best = (usize::MAX, String::new());
    search_table(table, "", offset, &mut best);
    best.1
}

enum Step<'a> {
    Key(&'a str),
    Index(usize),
}

/// Takes a path apart; a key in quotes (`ttl."a.b"`) may have dots in it.
fn steps(mut path: &str) -> impl Iterator<Item = Step<'_>> {
    std::iter::from_fn(move || {
        path = path.strip_prefix('.').unwrap_or(path);
        if let Some(quoted) = path.strip_prefix('"') {
            let (key, rest) = quoted.split_once('"')?;
            path = rest;
            return Some(Step::Key(key));
        }
        if let Some(bracketed) = path.strip_prefix('[') {
            let (index, rest) = bracketed.split_once(']')?;
            path = rest;
            return index.parse().ok().map(Step::Index);
        }
        let (key, rest) = path.split_at(path.find(['.', '[']).unwrap_or(path.len()));
        path = rest;
        (!key.is_empty()).then_some(Step::Key(key))
    })
}

/// Returns the path of a key in the table at `prefix`, in quotes where it would be taken for several.
fn joined(prefix: &str, key: &str) -> String {
    let dot = if prefix.is_empty() { "" } else { "." };
    let quote = if key.contains(['.', '[']) { "\"" } else { "" };
    format!("{prefix}{dot}{quote}{key}{quote}")
}

fn entry<'a, 'i>(table: &'a DeTable<'i>, name: &str) -> Option<(Range<usize>, &'a DeValue<'i>)> {
    let (key, value) = table.iter().find(|(key, _)| key.get_ref() == name)?;
    Some((key.span(), value.get_ref()))
}

/// Keeps in `best` the shortest span that covers `offset`; tables are searched whole, since the span of
/// a table is that of its header.
fn search_table(table: &DeTable<'_>, prefix: &str, offset: usize, best: &mut (usize, String)) {
    for (key, value) in table.iter() {
        let path = joined(prefix, key.get_ref());
        consider(&key.span(), &path, offset, best);
        search_value(value, &path, offset, best);
    }
}

fn search_value(
    value: &Spanned<DeValue<'_>>,
    path: &str,
    offset: usize,
    best: &mut (usize, String),
) {
    consider(&value.span(), path, offset, best);
    match value.get_ref() {
        DeValue::Table(table) => search_table(table, path, offset, best),
        DeValue::Array(array) => {
            for (index, item) in array.iter().enumerate() {
                search_value(item, &format!("{path}[{index}]"), offset, best);
            }
        }
        _ => {}
    }
}

fn consider(span: &Range<usize>, path: &str, offset: usize, best: &mut (usize, String)) {
    let covers = span.start <= offset && offset < span.end.max(span.start + 1);
    if covers && span.len() <= best.0 {
        *best = (span.len(), path.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "workers = 2\n[dns]\nlisten = [\"a\", \"b\"]\n[[dns.zones]]\ndomain = \"x\"\n[[dns.zones]]\nttl = 1\n[dns.ttl]\n\"*.a\" = 2\n";

    #[test]
    fn path_and_span_agree() {
        let table = DeTable::parse(TEXT).unwrap();
        for path in [
            "workers",
            "dns.listen",
            "dns.listen[1]",
            "dns.zones[0].domain",
            "dns.zones[1].ttl",
            "dns.ttl.\"*.a\"",
        ] {
            let span = span_of(table.get_ref(), path).unwrap();
            assert_eq!(path_at(table.get_ref(), span.start), path);
        }
    }

    #[test]
    fn a_missing_key_is_placed_at_its_table() {
        let table = DeTable::parse(TEXT).unwrap();
        let span = span_of(table.get_ref(), "dns.zones[1].domain").unwrap();
        assert_eq!(line_and_column(TEXT, span.start).0, 6);
        let span = span_of(table.get_ref(), "dns.ttl.\"*.b\"").unwrap();
        assert_eq!(line_and_column(TEXT, span.start).0, 8);
        assert_eq!(span_of(table.get_ref(), "proxy"), None);
    }

    #[test]
    fn columns_count_characters() {
        assert_eq!(line_and_column("ab\nü = 1", 6), (2, 3));
        assert_eq!(line_and_column("", 10), (1, 1));
    }
}
