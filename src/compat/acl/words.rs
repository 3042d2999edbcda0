//! The words of a condition, as HAProxy takes its lines apart.

/// A word; what was quoted or escaped is never a sign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Word {
    pub(super) text: String,
    /// Whether any of it was quoted or escaped.
    pub(super) is_quoted: bool,
}

impl Word {
    /// Tells whether it is this sign or operator.
    pub(super) fn is(&self, sign: &str) -> bool {
        !self.is_quoted && self.text == sign
    }
}

/// Takes a line apart at its spaces; a backslash, and quotes, keep what follows as it is.
///
/// # Errors
///
/// Returns in words what never ends.
pub(super) fn words(line: &str) -> Result<Vec<Word>, String> {
    let mut words = Vec::new();
    let mut word: Option<Word> = None;
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        if c.is_ascii_whitespace() {
            words.extend(word.take());
            continue;
        }
        let word = word.get_or_insert_with(|| Word {
            text: String::new(),
            is_quoted: false,
        });
        match c {
            '\\' => {
                let next = chars.next().ok_or("it ends in a backslash")?;
                // In expressions backslashes are for these, and not for the line.
                if !matches!(next, ' ' | '\\' | '"' | '\'' | '#') {
                    word.text.push('\\');
                }
                if next == '\\' {
                    word.text.push('\\');
                }
                word.text.push(next);
                word.is_quoted |= matches!(next, ' ' | '"' | '\'' | '#');
            }
            '"' | '\'' => {
                word.is_quoted = true;
                loop {
                    match chars.next() {
                        Some(next) if next == c => break,
                        Some(next) => word.text.push(next),
                        None => return Err(format!("a {c} is never closed")),
                    }
                }
            }
            c => word.text.push(c),
        }
    }
    words.extend(word);
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_taken_apart_at_spaces() {
        let texts = |line: &str| {
            let words = words(line)?.into_iter();
            Ok::<_, String>(words.map(|word| word.text).collect::<Vec<_>>())
        };
        assert_eq!(texts("  a  b\tc ").unwrap(), ["a", "b", "c"]);
        assert_eq!(
            texts(r#"a\ b "c d" 'e f'g"#).unwrap(),
            ["a b", "c d", "e fg"]
        );
        assert_eq!(
            texts(r"path_reg ^/a\.b\\d").unwrap(),
            ["path_reg", r"^/a\.b\\d"]
        );
        assert!(texts("a \"b").unwrap_err().contains("never closed"));
        assert!(texts("a\\").unwrap_err().contains("backslash"));
        assert!(!words("'or'").unwrap()[0].is("or"));
    }
}
