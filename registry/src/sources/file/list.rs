//! One file: a list of services in TOML, JSON or YAML.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use config::{Document, Environment};
use serde::Deserialize;

use crate::{Entry, Instance, InstanceId, Key, Origin, Refusal, Registration, ServiceName};

/// What one file says.
#[derive(Debug, PartialEq)]
pub(super) struct List {
    pub(super) entries: Vec<Entry>,
    pub(super) refused: Vec<Refusal>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(default)]
    services: Vec<WrittenService>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenService {
    name: String,
    #[serde(default)]
    instances: Vec<WrittenInstance>,
}

/// Either `"host:port"` or a table.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum WrittenInstance {
    Short(String),
    Full(serde_json::Value),
}

/// Parses a file by its ending.
///
/// # Errors
///
/// Returns the reason, with line and column, when the file as a whole can't be read. What is wrong with
/// one service or instance in it is refused by itself.
pub(super) fn parse(path: &Path, text: &str, source: &Arc<str>) -> Result<List, String> {
    let written: Written = match path.extension().and_then(|ending| ending.to_str()) {
        Some("json") => serde_json::from_str(text).map_err(|error| error.to_string())?,
        Some("yaml" | "yml") => serde_saphyr::from_str(text).map_err(|error| error.to_string())?,
        _ => toml(text)?,
    };
    let mut list = List {
        entries: Vec::new(),
        refused: Vec::new(),
    };
    // By name, so that a service keeps its key when others come before it.
    let mut named: BTreeMap<ServiceName, usize> = BTreeMap::new();
    for (index, service) in written.services.iter().enumerate() {
        match service.name.parse::<ServiceName>() {
            Ok(name) => {
                let times = named.entry(name.clone()).or_default();
                *times += 1;
                let key = match times {
                    1 => format!("{}#{name}", path.display()),
                    times => format!("{}#{name}#{times}", path.display()),
                };
                let entry = service.entry(Key::new(key), name, source, &mut list.refused);
                list.entries.push(entry);
            }
            Err(error) => list.refused.push(Refusal {
                key: Key::new(format!("{}#services[{index}]", path.display())),
                reason: error.to_string(),
            }),
        }
    }
    Ok(list)
}

fn toml(text: &str) -> Result<Written, String> {
    Document::parse("", text, &Environment::default())
        .and_then(|document| document.get())
        .map_err(|errors| errors.to_string().trim_start_matches(':').to_owned())
}

impl WrittenService {
    fn entry(
        &self,
        key: Key,
        name: ServiceName,
        source: &Arc<str>,
        refused: &mut Vec<Refusal>,
    ) -> Entry {
        let mut instances = Vec::with_capacity(self.instances.len());
        for (index, written) in self.instances.iter().enumerate() {
            let path = format!("{key}.instances[{index}]");
            let origin = Origin {
                source: Arc::clone(source),
                path: path.as_str().into(),
                revision: None,
                since: None,
            };
            match written.instance(origin) {
                Ok(instance) => instances.push(instance),
                Err(reason) => refused.push(Refusal {
                    key: Key::new(path),
                    reason,
                }),
            }
        }
        Entry::new(key, name, instances)
    }
}

impl WrittenInstance {
    fn instance(&self, origin: Origin) -> Result<Instance, String> {
        let mut written = match self {
            Self::Short(text) => return short(text, origin),
            Self::Full(value) => value.clone(),
        };
        let id = match written.as_object_mut().and_then(|table| table.remove("id")) {
            Some(id) => {
                let text = id
                    .as_str()
                    .ok_or_else(|| format!("id {id} is not a string"))?;
                Some(
                    text.parse::<InstanceId>()
                        .map_err(|error| error.to_string())?,
                )
            }
            None => None,
        };
        let registration: Registration =
            serde_json::from_value(written).map_err(|error| error.to_string())?;
        let id = id.unwrap_or_else(|| {
            let port = registration.port.unwrap_or_default();
            InstanceId::from_text(&format!("{}:{port}", registration.address))
        });
        registration.instance(id, origin)
    }
}

/// Reads `host:port`, `1.2.3.4:80` or `[::1]:80`.
fn short(text: &str, origin: Origin) -> Result<Instance, String> {
    let (host, port) = text
        .rsplit_once(':')
        .ok_or_else(|| format!("`{text}` is not `host:port`"))?;
    let port: i64 = port
        .parse()
        .map_err(|_| format!("`{port}` in `{text}` is not a port"))?;
    let registration = Registration {
        address: host.to_owned(),
        port: Some(port),
        ..Registration::default()
    };
    registration.instance(InstanceId::from_text(text), origin)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_all(ending: &str, text: &str) -> Result<List, String> {
        parse(
            Path::new("d/f").with_extension(ending).as_path(),
            text,
            &"s".into(),
        )
    }

    #[test]
    fn the_three_languages_say_the_same() {
        let toml = r#"
            [[services]]
            name = "web"
            instances = [
                "10.0.0.1:80",
                { id = "b", address = "h.example", port = 81, weight = 3, tags = ["x"] },
            ]
        "#;
        let json = r#"{"services": [{"name": "web", "instances": [
            "10.0.0.1:80",
            {"id": "b", "address": "h.example", "port": 81, "weight": 3, "tags": ["x"]}
        ]}]}"#;
        let yaml = "services:\n- name: web\n  instances:\n  - 10.0.0.1:80\n  - id: b\n    address: h.example\n    port: 81\n    weight: 3\n    tags: [x]\n";
        let mut lists = [("toml", toml), ("json", json), ("yaml", yaml)].map(|(ending, text)| {
            let list = parse_all(ending, text).unwrap();
            assert_eq!(list.refused, [], "{ending}");
            list.entries
        });
        for list in &mut lists {
            let entry = &mut list[0];
            entry.key = Key::new("k");
            for instance in &mut entry.instances {
                instance.origin.path = "k".into();
            }
        }
        assert_eq!(lists[0], lists[1]);
        assert_eq!(lists[0], lists[2]);
        assert_eq!(lists[0][0].instances[1].weight, 3);
    }

    #[test]
    fn one_bad_instance_or_service_is_refused_by_itself() {
        let json = r#"{"services": [
            {"name": "web", "instances": ["10.0.0.1:80", "10.0.0.2", {"address": "::1", "port": 70000}]},
            {"name": "a b", "instances": ["10.0.0.1:80"]}
        ]}"#;
        let list = parse_all("json", json).unwrap();
        assert_eq!(list.entries.len(), 1);
        assert_eq!(list.entries[0].instances.len(), 1);
        let refused: Vec<_> = list
            .refused
            .iter()
            .map(|refusal| format!("{}: {}", refusal.key, refusal.reason))
            .collect();
        assert_eq!(
            refused,
            [
                "d/f.json#web.instances[1]: `10.0.0.2` is not `host:port`",
                "d/f.json#web.instances[2]: port 70000 is not between 1 and 65535",
                "d/f.json#services[1]: service name `a b` has ' ', which is no letter, digit, `-` or `_`",
            ]
        );
    }

    #[test]
    fn a_broken_file_has_its_place() {
        for (ending, text, place) in [
            ("toml", "[[services]]\nname = ", "2:"),
            ("toml", "[[services]]\nnam = 'x'\n", "did you mean `name`"),
            ("json", "{\"services\": [\n", "line 2"),
            ("yaml", "services:\n  - name: [\n", "line"),
        ] {
            let error = parse_all(ending, text).unwrap_err();
            assert!(error.contains(place), "{ending}: {error}");
        }
    }
}
