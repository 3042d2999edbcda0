//! One parsed configuration file.

use std::{ops::Range, path::Path};

use serde::de::DeserializeOwned;
use toml::{
    Spanned,
    de::{DeTable, DeValue, Deserializer},
};

use crate::{Environment, Error, Errors, Problem, environment::Override, position};

/// The size of a configuration file above which it is taken for a mistake: 16 MiB.
const FILE_BYTES_MAX: u64 = 16 << 20;

/// Holds a file that is TOML, and knows where each of its values stands.
#[derive(Debug)]
pub struct Document {
    file: String,
    text: String,
    environment: Environment,
    overrides: Vec<Override>,
}

impl Document {
    /// Loads a file and applies the environment to it.
    ///
    /// # Errors
    ///
    /// Returns an error when the file can't be read, isn't TOML, or names a variable that isn't set.
    pub fn load(path: &Path, environment: &Environment) -> Result<Self, Errors> {
        let file = path.display().to_string();
        let read = || {
            let bytes = std::fs::metadata(path)?.len();
            if bytes > FILE_BYTES_MAX {
                let reason = format!("{bytes} bytes, more than {FILE_BYTES_MAX}");
                return Err(std::io::Error::other(reason));
            }
            std::fs::read_to_string(path)
        };
        match read() {
            Ok(text) => Self::parse(file, text, environment),
            Err(error) => Err(Errors::from(Error {
                file,
                place: None,
                key: String::new(),
                reason: format!("can't read the file: {error}"),
            })),
        }
    }

    /// Parses a text; `file` is the name that errors give.
    ///
    /// # Errors
    ///
    /// As [`Document::load`].
    pub fn parse(
        file: impl Into<String>,
        text: impl Into<String>,
        environment: &Environment,
    ) -> Result<Self, Errors> {
        let document = Self {
            file: file.into(),
            text: text.into(),
            overrides: environment.overrides().collect(),
            environment: environment.clone(),
        };
        document.table()?;
        Ok(document)
    }

    /// Turns the values into a `T`.
    ///
    /// # Errors
    ///
    /// Returns every unknown key (with the known one that is closest to it), or the first value that
    /// doesn't fit.
    pub fn get<T: DeserializeOwned>(&self) -> Result<T, Errors> {
        let mut table = self.table()?;
        let mut errors = Vec::new();
        loop {
            let error = match T::deserialize(Deserializer::from(table.clone())) {
                Ok(value) if errors.is_empty() => return Ok(value),
                Ok(_) => return Err(errors.into_iter().collect()),
                Err(error) => error,
            };
            errors.push(self.describe(&error));
            // Without the unknown key the rest may have more to say; any other error ends the search.
            let unknown = error.message().starts_with("unknown field");
            let at = error.span().filter(|_| unknown);
            if !at.is_some_and(|span| remove_key(table.get_mut(), span.start)) {
                return Err(errors.into_iter().collect());
            }
        }
    }

    /// Says where a problem stands.
    pub fn locate(&self, problem: &Problem) -> Error {
        let table = self.table().ok();
        let span = table.and_then(|table| position::span_of(table.get_ref(), &problem.key));
        let mut error = self.error_at(span.map(|span| span.start), problem.reason.clone());
        error.key.clone_from(&problem.key);
        error
    }

    /// Parses the text, expands variables in its strings and puts the overrides in.
    fn table(&self) -> Result<Spanned<DeTable<'_>>, Errors> {
        let (mut table, errors) = DeTable::parse_recoverable(&self.text);
        if !errors.is_empty() {
            return Err(errors.iter().map(|error| self.describe(error)).collect());
        }
        let mut errors = Vec::new();
        expand_table(table.get_mut(), &self.environment, &mut errors);
        if !errors.is_empty() {
            return Err(errors
                .into_iter()
                .map(|(offset, reason)| self.error_at(Some(offset), reason))
                .collect());
        }
        for (index, one) in self.overrides.iter().enumerate() {
            one.apply(table.get_mut(), self.override_span(index));
        }
        Ok(table)
    }

    /// Gives the n-th override a place behind the end of the file, by which errors know it again.
    fn override_span(&self, index: usize) -> Range<usize> {
        let start = self.text.len() + 1 + index;
        start..start + 1
    }

    fn describe(&self, error: &toml::de::Error) -> Error {
        let message = error.message();
        let reason = match suggestion(message) {
            Some(name) => format!("{message}; did you mean `{name}`?"),
            None => message.to_owned(),
        };
        self.error_at(error.span().map(|span| span.start), reason)
    }

    fn error_at(&self, offset: Option<usize>, reason: String) -> Error {
        let by_override = offset
            .and_then(|offset| offset.checked_sub(self.text.len() + 1))
            .and_then(|index| self.overrides.get(index));
        if let Some(one) = by_override {
            return Error {
                file: format!("environment variable {}", one.variable),
                place: None,
                key: one.path(),
                reason,
            };
        }
        let table = DeTable::parse_recoverable(&self.text).0;
        Error {
            file: self.file.clone(),
            place: offset.map(|offset| position::line_and_column(&self.text, offset)),
            key: offset.map_or_else(String::new, |at| position::path_at(table.get_ref(), at)),
            reason,
        }
    }
}

impl Override {
    /// Returns the path of the key, such as `dns.listen`.
    fn path(&self) -> String {
        match self.section {
            Some(section) => format!("{section}.{}", self.key),
            None => self.key.clone(),
        }
    }

    /// Puts the value in place of the file's.
    fn apply<'i>(&'i self, root: &mut DeTable<'i>, span: Range<usize>) {
        let place = |name: &'i str| Spanned::new(span.clone(), name.into());
        let value = Spanned::new(span.clone(), self.toml(&span));
        let table = match self.section {
            None => root,
            Some(section) => {
                let section = root
                    .entry(place(section))
                    .or_insert_with(|| Spanned::new(span.clone(), DeValue::Table(DeTable::new())));
                match section.get_mut() {
                    DeValue::Table(table) => table,
                    // The file itself is wrong there, and is told so.
                    _ => return,
                }
            }
        };
        // `insert` would keep the old key and with it the old place.
        table.remove(self.key.as_str());
        table.insert(place(&self.key), value);
    }

    /// Reads the text as TOML where it is (`2`, `true`, `["a", "b"]`), and as a string elsewhere.
    fn toml(&self, span: &Range<usize>) -> DeValue<'_> {
        match DeValue::parse(&self.value).map(Spanned::into_inner) {
            Ok(DeValue::Array(items)) => DeValue::Array(
                items
                    .into_iter()
                    .map(|item| Spanned::new(span.clone(), item.into_inner()))
                    .collect(),
            ),
            Ok(
                value @ (DeValue::Integer(_)
                | DeValue::Float(_)
                | DeValue::Boolean(_)
                | DeValue::String(_)),
            ) => value,
            _ => DeValue::String(self.value.as_str().into()),
        }
    }
}

fn expand_table(
    table: &mut DeTable<'_>,
    environment: &Environment,
    errors: &mut Vec<(usize, String)>,
) {
    for (_, value) in table.iter_mut() {
        expand_value(value, environment, errors);
    }
}

fn expand_value(
    value: &mut Spanned<DeValue<'_>>,
    environment: &Environment,
    errors: &mut Vec<(usize, String)>,
) {
    let start = value.span().start;
    match value.get_mut() {
        DeValue::String(text) if text.contains("${") => match environment.expand(text) {
            Ok(expanded) => *text = expanded.into(),
            Err(reason) => errors.push((start, reason)),
        },
        DeValue::Table(table) => expand_table(table, environment, errors),
        DeValue::Array(items) => {
            for item in items.iter_mut() {
                expand_value(item, environment, errors);
            }
        }
        _ => {}
    }
}

/// Removes the key that starts at `offset`, wherever it is; returns whether it was found.
fn remove_key(table: &mut DeTable<'_>, offset: usize) -> bool {
    let found = table.keys().find(|key| key.span().start == offset).cloned();
    if let Some(key) = found {
        return table.remove(key.get_ref().as_ref()).is_some();
    }
    table.iter_mut().any(|(_, value)| match value.get_mut() {
        DeValue::Table(table) => remove_key(table, offset),
        DeValue::Array(items) => items.iter_mut().any(|item| match item.get_mut() {
            DeValue::Table(table) => remove_key(table, offset),
            _ => false,
        }),
        _ => false,
    })
}

/// Finds the name that was probably meant in "unknown field `x`, expected one of `a`, `b`".
fn suggestion(message: &str) -> Option<&str> {
    if !message.starts_with("unknown field") && !message.starts_with("unknown variant") {
        return None;
    }
    let mut quoted = message.split('`').skip(1).step_by(2);
    let wrong = quoted.next()?;
    quoted
        .map(|name| (strsim::damerau_levenshtein(wrong, name), name))
        .filter(|(distance, name)| *distance <= 1 + name.len().max(wrong.len()) / 4)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize, Default, PartialEq)]
    #[serde(deny_unknown_fields, default)]
    struct Root {
        workers: usize,
        dns: Dns,
    }

    #[derive(Debug, Deserialize, Default, PartialEq)]
    #[serde(deny_unknown_fields, default)]
    struct Dns {
        listen: Vec<String>,
        zones: Vec<Zone>,
    }

    #[derive(Debug, Deserialize, Default, PartialEq)]
    #[serde(deny_unknown_fields, default)]
    struct Zone {
        domain: String,
        ttl: crate::Duration,
    }

    fn get(text: &str, variables: &[(&str, &str)]) -> Result<Root, String> {
        let variables = variables
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let environment = Environment::new(variables, &["workers"], &["dns"]);
        Document::parse("f.toml", text, &environment)
            .and_then(|document| document.get())
            .map_err(|errors| errors.to_string())
    }

    #[test]
    fn every_unknown_key_is_found_with_a_guess() {
        let text = "wokers = 2\n[dns]\nlisten = []\n[[dns.zones]]\ndomain = \"a\"\ntll = \"5s\"\n";
        let errors = get(text, &[]).unwrap_err();
        let lines: Vec<_> = errors.lines().collect();
        assert_eq!(
            lines,
            [
                "f.toml:1:1: wokers: unknown field `wokers`, expected `workers` or `dns`; did you mean `workers`?",
                "f.toml:6:1: dns.zones[0].tll: unknown field `tll`, expected `domain` or `ttl`; did you mean `ttl`?",
            ]
        );
    }

    #[test]
    fn an_unknown_table_is_found_too() {
        let errors = get("[dnss]\nlisten = []\n[dns]\nx = 1\n", &[]).unwrap_err();
        assert!(
            errors.contains("f.toml:1:2: dnss: unknown field"),
            "{errors}"
        );
        assert!(
            errors.contains("f.toml:4:1: dns.x: unknown field"),
            "{errors}"
        );
    }

    #[test]
    fn a_value_of_the_wrong_type_has_its_place() {
        let errors = get("[dns]\n[[dns.zones]]\nttl = \"5 parsecs\"\n", &[]).unwrap_err();
        assert!(
            errors.starts_with("f.toml:3:7: dns.zones[0].ttl: `5 parsecs` is not a duration"),
            "{errors}"
        );
        let errors = get("workers = \"two\"", &[]).unwrap_err();
        assert!(
            errors.starts_with("f.toml:1:11: workers: invalid type"),
            "{errors}"
        );
    }

    #[test]
    fn broken_syntax_has_its_place() {
        let errors = get("workers = \n[dns\n", &[]).unwrap_err();
        assert!(errors.starts_with("f.toml:1:"), "{errors}");
    }

    #[test]
    fn variables_expand_in_strings_and_a_missing_one_is_an_error() {
        let text = "[dns]\nlisten = [\"${HOST:-h}:1\"]\n";
        assert_eq!(get(text, &[]).unwrap().dns.listen, ["h:1"]);
        assert_eq!(get(text, &[("HOST", "x")]).unwrap().dns.listen, ["x:1"]);
        assert_eq!(
            get("[dns]\nlisten = [\"${HOST}\"]\n", &[]).unwrap_err(),
            "f.toml:2:11: dns.listen[0]: environment variable `HOST` is not set"
        );
    }

    #[test]
    fn the_environment_overrides_the_file() {
        let text = "workers = 2\n[dns]\nlisten = [\"a\"]\n";
        let variables = [
            ("SIGNPOST_WORKERS", "3"),
            ("SIGNPOST_DNS_LISTEN", "[\"b\", \"c\"]"),
        ];
        let root = get(text, &variables).unwrap();
        assert_eq!((root.workers, root.dns.listen.len()), (3, 2));
        assert_eq!(get("", &variables).unwrap().workers, 3);
    }

    #[test]
    fn a_bad_override_names_the_variable() {
        let errors = get("workers = 2", &[("SIGNPOST_WORKERS", "many")]).unwrap_err();
        assert!(
            errors.starts_with("environment variable SIGNPOST_WORKERS: workers: invalid type"),
            "{errors}"
        );
        let errors = get("", &[("SIGNPOST_DNS_LISEN", "x")]).unwrap_err();
        assert!(errors.contains("did you mean `listen`?"), "{errors}");
    }

    #[test]
    fn a_problem_is_placed_in_the_file() {
        let text = "[dns]\n[[dns.zones]]\ndomain = \"a\"\n";
        let document = Document::parse("f.toml", text, &Environment::default()).unwrap();
        let error = document.locate(&Problem::new("dns.zones[0].domain", "no such domain"));
        assert_eq!(
            error.to_string(),
            "f.toml:3:1: dns.zones[0].domain: no such domain"
        );
    }
}
