//! JSON as Mesos-DNS writes it: one space for each level, and one more on each line but the first.

use serde::Serialize as _;
use serde_json::{Serializer, Value, ser::PrettyFormatter};

pub(super) fn text(value: &Value) -> String {
    let mut bytes = Vec::new();
    let formatter = PrettyFormatter::with_indent(b" ");
    let mut serializer = Serializer::with_formatter(&mut bytes, formatter);
    value
        .serialize(&mut serializer)
        .expect("a vector takes everything, and keys are strings");
    // A line's end within a string is escaped.
    String::from_utf8_lossy(&bytes).replace('\n', "\n ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn lines_begin_with_one_more_space() {
        let value = json!([{"host": "a\n.", "ip": "1.2.3.4"}]);
        assert_eq!(
            text(&value),
            "[\n  {\n   \"host\": \"a\\n.\",\n   \"ip\": \"1.2.3.4\"\n  }\n ]"
        );
        assert_eq!(text(&json!({"a": []})), "{\n  \"a\": []\n }");
    }
}
