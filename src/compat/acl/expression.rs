//! Several criteria: all of some, or all of others.

use super::{
    criterion::Criterion,
    words::{Word, words},
};

/// The most alternatives of an expression.
const ALTERNATIVES_MAX: usize = 64;

/// Alternatives, each with criteria that all have to hold.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Expression {
    pub(super) alternatives: Vec<Vec<Term>>,
}

/// A criterion that has to hold, or must not.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Term {
    pub(super) is_negated: bool,
    pub(super) criterion: Criterion,
}

impl Expression {
    /// Reads one criterion.
    ///
    /// # Errors
    ///
    /// Returns in words what it can't be.
    pub(super) fn of_one(text: &str) -> Result<Self, String> {
        let term = Term {
            is_negated: false,
            criterion: Criterion::parse(&words(text)?)?,
        };
        Ok(Self {
            alternatives: vec![vec![term]],
        })
    }

    /// Reads an expression.
    ///
    /// # Errors
    ///
    /// Returns in words what it can't be.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        if text.trim().is_empty() {
            return Err("it is empty".to_owned());
        }
        let words = words(text)?;
        let has_braces = words.iter().any(|word| word.is("{") || word.is("!{"));
        let terms = match has_braces {
            true => braced(&words)?,
            false => bare(&words)?,
        };
        let alternatives = terms.split(Option::is_none).map(<[_]>::len);
        let lengths: Vec<_> = alternatives.collect();
        if lengths.contains(&0) {
            return Err("there is nothing before or after an `or`".to_owned());
        }
        if lengths.len() > ALTERNATIVES_MAX {
            return Err(format!("it has more than {ALTERNATIVES_MAX} alternatives"));
        }
        let mut terms = terms.into_iter().flatten();
        let alternatives = lengths.into_iter();
        Ok(Self {
            alternatives: alternatives
                .map(|length| terms.by_ref().take(length).collect())
                .collect(),
        })
    }
}

/// Reads criteria in braces; `None` stands for an `or`.
fn braced(words: &[Word]) -> Result<Vec<Option<Term>>, String> {
    let mut terms = Vec::new();
    let mut is_negated = false;
    let mut rest = words.iter();
    while let Some(word) = rest.next() {
        if word.is("!") {
            is_negated = !is_negated;
        } else if word.is("or") || word.is("||") {
            terms.push(None);
        } else if word.is("{") || word.is("!{") {
            is_negated ^= word.is("!{");
            let inner: Vec<_> = rest.by_ref().take_while(|word| !word.is("}")).collect();
            let inner: Vec<Word> = inner.into_iter().cloned().collect();
            terms.push(Some(Term {
                is_negated: std::mem::take(&mut is_negated),
                criterion: Criterion::parse(&inner)?,
            }));
        } else if !(word.is("and") || word.is("&&")) {
            return Err(format!("`{}` stands outside of braces", word.text));
        }
    }
    let opened = words.iter().filter(|word| word.is("{") || word.is("!{"));
    let closed = words.iter().filter(|word| word.is("}"));
    match (opened.count() == closed.count(), is_negated) {
        (false, _) => Err("a brace is never closed".to_owned()),
        (true, true) => Err("nothing comes after a `!`".to_owned()),
        (true, false) => Ok(terms),
    }
}

/// Reads criteria without braces; an operator is one only where a criterion follows, else a value.
fn bare(words: &[Word]) -> Result<Vec<Option<Term>>, String> {
    let mut terms = Vec::new();
    let mut begin = 0;
    let is_begin = |at: usize| {
        let rest = words.get(at..).unwrap_or_default();
        match rest {
            [first, second, ..] if first.is("!") => Criterion::is_name(second),
            [first, ..] => Criterion::is_name(first) || negated(first).is_some(),
            [] => false,
        }
    };
    for (at, word) in words.iter().enumerate() {
        let is_or = word.is("or") || word.is("||");
        let is_and = word.is("and") || word.is("&&");
        if (is_or || is_and) && at > begin && is_begin(at + 1) {
            terms.push(Some(term(&words[begin..at])?));
            if is_or {
                terms.push(None);
            }
            begin = at + 1;
        }
    }
    terms.push(Some(term(&words[begin..])?));
    Ok(terms)
}

/// Reads a criterion that may have a `!` in front.
fn term(words: &[Word]) -> Result<Term, String> {
    let (is_negated, words) = match words {
        [first, rest @ ..] if first.is("!") => (true, rest.to_vec()),
        [first, rest @ ..] => match negated(first) {
            Some(name) => (true, [&[name], rest].concat()),
            None => (false, words.to_vec()),
        },
        [] => (false, Vec::new()),
    };
    Ok(Term {
        is_negated,
        criterion: Criterion::parse(&words)?,
    })
}

/// Returns the name of a criterion without the `!` in front of it.
fn negated(word: &Word) -> Option<Word> {
    let name = Word {
        text: word.text.strip_prefix('!')?.to_owned(),
        is_quoted: word.is_quoted,
    };
    Criterion::is_name(&name).then_some(name)
}
