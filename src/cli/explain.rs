//! `signpost explain`

use clap::Args;
use serde_json::Value;
use url::Url;

use super::{Failure, Output, OutputArgs, block_on, client::Client, encode, say};

/// Say how a name is answered or where a request goes, and why
#[derive(Debug, Args)]
pub(super) struct Explain {
    /// A DNS name (web.svc.internal), or the URL of a request (http://shop.example.com/api)
    what: String,
    #[command(flatten)]
    request: Request,
    #[command(flatten)]
    client: Client,
    #[command(flatten)]
    output: OutputArgs,
}

/// What a request is like besides its URL
#[derive(Debug, Args, Default)]
struct Request {
    /// The method of the request, GET unless given
    #[arg(long)]
    method: Option<String>,
    /// A header of the request, `Name: value`; may be given several times
    #[arg(long = "header", value_name = "HEADER")]
    headers: Vec<String>,
    /// The address that the request comes from, this machine's unless given
    #[arg(long)]
    from: Option<String>,
}

impl Explain {
    pub(super) fn run(self) -> Result<(), Failure> {
        let path = match self.what.contains("://") {
            true => route_path(&self.what, &self.request)?,
            false => format!(
                "/v1/explain/dns/{}",
                encode(self.what.trim_end_matches('.'))
            ),
        };
        let value = block_on(self.client.get(&path))?;
        say(&match self.output.output {
            Output::Json => format!("{value:#}"),
            Output::Table => outline(&value, 0).trim_end().to_owned(),
        })
    }
}

fn route_path(text: &str, request: &Request) -> Result<String, Failure> {
    let url = Url::parse(text)
        .map_err(|error| Failure::usage(format!("`{text}` is not a URL: {error}")))?;
    let Some(host) = url.host_str() else {
        return Err(Failure::usage(format!("`{text}` has no host")));
    };
    let mut path = format!(
        "/v1/explain/route?host={}&path={}",
        encode(host),
        encode(url.path())
    );
    let one = |name, value: Option<&str>| value.map(|value| (name, value.to_owned()));
    let headers = request.headers.iter();
    let port = url.port_or_known_default();
    let more = one("query", url.query())
        .into_iter()
        .chain(one("method", request.method.as_deref()))
        .chain(headers.map(|header| ("header", header.clone())))
        .chain(one("client", request.from.as_deref()))
        .chain(port.map(|port| ("port", port.to_string())))
        .chain((url.scheme() == "https").then(|| ("scheme", "https".to_owned())));
    for (name, value) in more {
        path.push_str(&format!("&{name}={}", encode(&value)));
    }
    Ok(path)
}

/// Writes a JSON value as an indented outline; the names are those of the JSON.
fn outline(value: &Value, depth: usize) -> String {
    let indent = "  ".repeat(depth);
    match value {
        Value::Object(table) => table
            .iter()
            .filter(|(_, value)| !is_empty(value))
            .map(|(key, value)| match value {
                Value::Object(_) => format!("{indent}{key}:\n{}", outline(value, depth + 1)),
                Value::Array(items) if items.iter().any(|item| item.is_object()) => {
                    format!("{indent}{key}:\n{}", outline(value, depth + 1))
                }
                _ => format!("{indent}{key}: {}\n", line(value)),
            })
            .collect(),
        Value::Array(items) => items
            .iter()
            .map(|item| {
                let text = outline(item, depth + 1);
                format!("{indent}- {}", text.trim_start())
            })
            .collect(),
        other => format!("{indent}{}\n", line(other)),
    }
}

fn line(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(line).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(table) => table.is_empty(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_outline_reads_like_the_json() {
        let value = json!({
            "name": "web",
            "addresses": ["a", "b"],
            "nothing": null,
            "instances": [{"id": "x", "up": true}, {"id": "y"}],
        });
        assert_eq!(
            outline(&value, 0),
            "addresses: a, b\ninstances:\n  - id: x\n    up: true\n  - id: y\nname: web\n"
        );
    }

    #[test]
    fn a_url_becomes_host_and_path() {
        let plain = Request::default();
        assert_eq!(
            route_path("http://shop.example.com:8080/a b", &plain).unwrap(),
            "/v1/explain/route?host=shop.example.com&path=%2Fa%2520b&port=8080"
        );
        let request = Request {
            method: Some("PUT".to_owned()),
            headers: vec!["x-a: b".to_owned()],
            from: Some("10.0.0.1".to_owned()),
        };
        assert_eq!(
            route_path("http://x/?a=b", &request).unwrap(),
            "/v1/explain/route?host=x&path=%2F&query=a%3Db&method=PUT&header=x-a%3A+b\
             &client=10.0.0.1&port=80"
        );
    }
}
