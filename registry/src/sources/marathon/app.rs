//! What an app, or two colours of one, is told as.

use std::{collections::BTreeMap, sync::Arc, time::SystemTime};

use serde_json::Value;

use super::{
    names,
    ports::AppPorts,
    record::{AppRecord, CheckRecord, TaskRecord},
    verdict::Verdict,
};
use crate::{
    About, App, AppCheck, AppPort, Entry, Instance, InstanceId, Key, Locality, Origin, Port,
    Protocol, Refusal, ServiceName, State, Update, instance::address,
};

/// How an app becomes services.
#[derive(Debug, Clone)]
pub(super) struct Making {
    pub(super) source: Arc<str>,
    pub(super) suffix: ServiceName,
    pub(super) weight: u16,
}

/// Updates by the keys they are for.
pub(super) type Said = BTreeMap<Key, Update>;

/// An app whose tasks are told as instances of its services.
#[derive(Debug)]
pub(super) struct Telling<'a> {
    pub(super) making: &'a Making,
    /// What the keys of its records begin with.
    pub(super) key: &'a str,
    /// By the app's ports; one whose name something else has isn't told.
    pub(super) services: Vec<ServiceName>,
    is_taken: Vec<Option<String>>,
    pub(super) said: Said,
}

impl<'a> Telling<'a> {
    /// Begins with what an app is; `id` is what it is called, whatever its record says.
    ///
    /// # Errors
    ///
    /// Returns in words why it can't be told.
    pub(super) fn new(
        making: &'a Making,
        key: &'a str,
        id: &str,
        record: &AppRecord,
        taken: impl Fn(&ServiceName) -> Option<String>,
        change: impl FnOnce(&mut App),
    ) -> Result<Self, String> {
        let service = names::service(id, &making.suffix)?;
        let ports = AppPorts::of(record)?;
        // One without ports has a name all the same.
        let count = ports.all.len().max(1);
        let services = (0..count).map(|index| names::of_port(&service, index));
        let services: Vec<_> = services.collect::<Result<_, _>>()?;
        let is_taken: Vec<_> = services.iter().map(taken).collect();
        if let Some(by) = &is_taken[0] {
            return Err(taken_by(&services[0], by));
        }
        let mut app = describe(making, id, record, &ports, &services);
        change(&mut app);
        let mut telling = Self {
            making,
            key,
            services,
            is_taken,
            said: Said::new(),
        };
        let mut app = Some(Arc::new(app));
        for index in 0..count {
            if let Some(by) = &telling.is_taken[index] {
                let reason = taken_by(&telling.services[index], by);
                telling.refuse_key(telling.key_of("", index), reason);
                continue;
            }
            let entry = Entry {
                about: About {
                    app: app.take(),
                    rules: Vec::new(),
                },
                ..Entry::new(
                    telling.key_of("", index),
                    telling.services[index].clone(),
                    Vec::new(),
                )
            };
            telling.said.insert(entry.key.clone(), Update::Put(entry));
        }
        Ok(telling)
    }

    /// Adds a task of an app, which may be another one than that which was begun with.
    pub(super) fn add(&mut self, record: &AppRecord, task: &TaskRecord, verdict: &Verdict) {
        if let Err(reason) = self.try_add(record, task, verdict) {
            self.refuse(&task.id, reason);
        }
    }

    /// Says that a task can't be read.
    pub(super) fn refuse(&mut self, task: &str, reason: String) {
        // What it was before at any of its ports stays.
        for index in 0..self.services.len() {
            let key = self.key_of(task, index);
            self.refuse_key(key, reason.clone());
        }
    }

    /// Says that a record can't be what it wants to be.
    pub(super) fn refuse_key(&mut self, key: Key, reason: String) {
        let refusal = Refusal {
            key: key.clone(),
            reason,
        };
        self.said.insert(key, Update::Refuse(refusal));
    }

    fn try_add(
        &mut self,
        record: &AppRecord,
        task: &TaskRecord,
        verdict: &Verdict,
    ) -> Result<(), String> {
        let ports = AppPorts::of(record)?;
        let of_task = ports.of_task(task)?;
        let mut whole = self.instance(record, task, verdict);
        place(&mut whole, task, ports.of_container, verdict)?;
        for index in 0..self.services.len() {
            if self.is_taken[index].is_some() {
                continue;
            }
            let mut instance = whole.clone();
            // The service of the first port knows the others, too.
            let own: Vec<Port> = match index {
                0 => of_task.iter().flatten().cloned().collect(),
                _ => of_task.get(index).cloned().unwrap_or_default(),
            };
            if index > 0 && own.is_empty() {
                continue;
            }
            instance.ports = own.into();
            let key = self.key_of(&task.id, index);
            instance.origin.path = key.as_str().into();
            let service = self.services[index].clone();
            let entry = Entry::new(key.clone(), service, vec![instance]);
            self.said.insert(key, Update::Put(entry));
        }
        Ok(())
    }

    fn instance(&self, record: &AppRecord, task: &TaskRecord, verdict: &Verdict) -> Instance {
        let origin = Origin {
            source: Arc::clone(&self.making.source),
            path: "".into(),
            revision: None,
            since: None,
        };
        let mut instance = Instance::new(InstanceId::from_text(&task.id), origin);
        instance.state = verdict.state;
        instance.weight = self.making.weight;
        let pairs = [
            ("app", Some(&record.id)),
            ("task", Some(&task.id)),
            ("agent", task.slave_id.as_ref()),
            ("version", task.version.as_ref()),
            ("state", Some(&verdict.text)),
        ];
        let pairs = pairs.into_iter();
        let pairs = pairs.filter_map(|(key, value)| Some((key.into(), Arc::clone(value?))));
        instance.attributes = pairs.collect();
        let not = |key: &str| (key.into(), "false".into());
        if !verdict.is_ready {
            instance.attributes.extend([not("ready")]);
        }
        if verdict.is_alive != Some(true) {
            instance.attributes.extend([not("alive")]);
        }
        if task.region.is_some() || task.zone.is_some() {
            instance.locality = Some(Box::new(Locality {
                region: task.region.clone(),
                zone: task.zone.clone(),
            }));
        }
        instance
    }

    /// Lists the services that are told.
    pub(super) fn owned(&self) -> impl Iterator<Item = &ServiceName> {
        let all = self.services.iter().zip(&self.is_taken);
        all.filter_map(|(service, taken)| taken.is_none().then_some(service))
    }

    /// Names the record of a task, or of the app itself without one.
    fn key_of(&self, task: &str, index: usize) -> Key {
        let key = self.key;
        let task = match task {
            "" => String::new(),
            task => format!(":{task}"),
        };
        match index {
            0 => Key::new(format!("{key}{task}")),
            _ => Key::new(format!("{key}{task}#{index}")),
        }
    }
}

fn taken_by(service: &ServiceName, by: &str) -> String {
    format!("its service `{}` is that of {by}", service.as_str())
}

/// Puts an instance where its task is.
///
/// # Errors
///
/// Returns in words why it is nowhere.
fn place(
    instance: &mut Instance,
    task: &TaskRecord,
    of_container: bool,
    verdict: &Verdict,
) -> Result<(), String> {
    if !of_container && !task.host.is_empty() {
        return instance.set_host(&task.host);
    }
    let texts = task.ip_addresses.iter();
    let texts = texts.filter_map(|one| one.ip_address.as_deref());
    let addresses: Vec<_> = texts
        .clone()
        .map(|text| address(text).ok_or_else(|| format!("`{text}` is no address")))
        .collect::<Result<_, _>>()?;
    if of_container && !addresses.is_empty() {
        instance.addresses = addresses.into();
        return Ok(());
    }
    // One that starts has none as yet, and one that is lost may have none.
    match verdict.state {
        State::Up => Err(match of_container {
            true => "it has no address of its own".to_owned(),
            false => "it has no host".to_owned(),
        }),
        _ => Ok(()),
    }
}

fn describe(
    making: &Making,
    id: &str,
    record: &AppRecord,
    ports: &AppPorts,
    services: &[ServiceName],
) -> App {
    let slots = ports.all.iter().zip(services);
    let env = record.env.iter();
    let env = env.filter_map(|(key, value)| match value {
        Value::String(text) => Some((Arc::clone(key), text.as_str().into())),
        _ => None,
    });
    let readiness = record.readiness_checks.first();
    App {
        id: id.into(),
        source: Arc::clone(&making.source),
        labels: record.labels.clone(),
        env: env.collect(),
        ports: slots
            .map(|(slot, service)| AppPort {
                service: service.clone(),
                service_port: slot.service_port,
                name: slot.name.clone(),
                number: slot.number,
                protocol: match slot.protocols.contains(&Protocol::Tcp) {
                    true => Protocol::Tcp,
                    false => Protocol::Udp,
                },
            })
            .collect(),
        checks: record.health_checks.iter().map(check).collect(),
        readiness_path: readiness.map(|one| one.path.clone().unwrap_or_else(|| "/".into())),
        has_own_address: ports.of_container,
        colours: Vec::new(),
        together: None,
    }
}

fn check(record: &CheckRecord) -> AppCheck {
    let is_http = record.protocol.contains("HTTP");
    let path = record.path.clone().filter(|_| is_http);
    AppCheck {
        protocol: Arc::clone(&record.protocol),
        path: match is_http {
            true => path.unwrap_or_else(|| "/".into()),
            false => "".into(),
        },
        port_index: match (record.port_index, record.port) {
            (None, Some(_)) => None,
            (index, _) => Some(index.unwrap_or(0)),
        },
        grace_seconds: record.grace_period_seconds,
        interval_seconds: record.interval_seconds,
        timeout_seconds: record.timeout_seconds,
        failures_max: record.max_consecutive_failures,
    }
}

/// Returns the earlier one of two moments that may be none.
pub(super) fn earlier(a: Option<SystemTime>, b: Option<SystemTime>) -> Option<SystemTime> {
    a.into_iter().chain(b).min()
}
