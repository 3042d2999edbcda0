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

    /// Takes what follows a backslash; before most characters the backslash stays, as in expressions.
    fn escape(&mut self, next: Option<char>) -> Result<(), String> {
        let next = next.ok_or("it ends in a backslash")?;
        match matches!(next, ' ' | '\\' | '"' | '\'' | '#') {
            true => self.is_quoted = true,
            false => self.text.push('\\'),
        }
        self.text.push(next);
        Ok(())
    }
}

/// Takes a line apart at its spaces; a backslash, and quotes, keep what follows as it is. A `#` begins a
/// comment.
///
/// # Errors
///
/// Returns in words what never ends.
pub(super) fn words(line: &str) -> Result<Vec<Word>, String> {
    if line.chars().any(|c| c.is_control() && c != '\t') {
        return Err("it has more than one line, or characters that no line has".to_owned());
    }
    let mut words = Vec::new();
    let mut word: Option<Word> = None;
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        if c.is_ascii_whitespace() {
            words.extend(word.take());
            continue;
        }
        if c == '#' {
            break;
        }
        let word = word.get_or_insert_with(|| Word {
            text: String::new(),
            is_quoted: false,
        });
        match c {
            '\\' => word.escape(chars.next())?,
            '"' | '\'' => {
                word.is_quoted = true;
                loop {
                    match chars.next() {
                        Some(next) if next == c => break,
                        Some('\\') if c == '"' => word.escape(chars.next())?,
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
            texts(r"path_reg ^/a\.b\\.d # not this").unwrap(),
            ["path_reg", r"^/a\.b\.d"]
        );
        assert_eq!(texts(r#""a\\.b\"" '\\'"#).unwrap(), [r#"a\.b""#, r"\\"]);
        assert!(
            texts("path_beg /a\nuse_backend x")
                .unwrap_err()
                .contains("one line")
        );
        assert!(texts("a \"b").unwrap_err().contains("never closed"));
        assert!(texts("a\\").unwrap_err().contains("backslash"));
        assert!(!words("'or'").unwrap()[0].is("or"));
    }
}
