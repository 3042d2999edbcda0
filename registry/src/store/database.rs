//! Registrations on disk.

use std::{collections::BTreeMap, fs, path::Path, sync::Arc};

use redb::{ReadableDatabase, ReadableTable, TableDefinition};
use serde::{Deserialize, Serialize};

use super::Place;
use crate::{Error, InstanceId, Key, Refusal, Registration, Timestamp};

/// `service/id` to the JSON of [`Stored`].
const INSTANCES: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("instances");

/// Keeps registrations in a redb file, `store.redb`.
#[derive(Debug, Clone)]
pub(crate) struct Database(Arc<redb::Database>);

/// All that is in the database.
#[derive(Debug, Default)]
pub(crate) struct Content {
    pub(crate) stored: BTreeMap<Place, Stored>,
    /// What can't be read.
    pub(crate) broken: Vec<Refusal>,
}

/// One registration as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Stored {
    pub(crate) registration: Registration,
    /// The lease's length; the lease itself starts again at every start of the process, which can't know
    /// what was renewed while it was away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) ttl_ms: Option<u64>,
    pub(crate) since: Timestamp,
}

impl Database {
    /// Opens the database in a directory, both made when missing.
    pub(crate) fn open(directory: &Path) -> Result<Self, Error> {
        let path = directory.join("store.redb");
        let open = || -> Result<_, Error> {
            fs::create_dir_all(directory)?;
            let database = redb::Database::create(&path)?;
            let transaction = database.begin_write()?;
            transaction.open_table(INSTANCES)?;
            transaction.commit()?;
            Ok(database)
        };
        match open() {
            Ok(database) => Ok(Self(Arc::new(database))),
            Err(error) => Err(format!("can't open {}: {error}", path.display()).into()),
        }
    }

    /// Reads everything.
    pub(crate) fn read(&self) -> Result<Content, Error> {
        let mut content = Content::default();
        let table = self.0.begin_read()?.open_table(INSTANCES)?;
        for item in table.iter()? {
            let (key, value) = item?;
            let stored = serde_json::from_slice(value.value()).map_err(|error| error.to_string());
            match parse_key(key.value()).and_then(|place| Ok((place, stored?))) {
                Ok((place, stored)) => drop(content.stored.insert(place, stored)),
                Err(reason) => content.broken.push(Refusal {
                    key: Key::new(key.value()),
                    reason,
                }),
            }
        }
        Ok(content)
    }

    /// Makes changes, all of them or none; `None` removes. On disk when it returns.
    pub(crate) fn write<'a>(
        &self,
        changes: impl Iterator<Item = (&'a Place, Option<&'a Stored>)>,
    ) -> Result<(), Error> {
        let transaction = self.0.begin_write()?;
        {
            let mut table = transaction.open_table(INSTANCES)?;
            for (place, stored) in changes {
                let key = place.to_string();
                match stored {
                    Some(stored) => {
                        table.insert(key.as_str(), serde_json::to_vec(stored)?.as_slice())?;
                    }
                    None => drop(table.remove(key.as_str())?),
                }
            }
        }
        transaction.commit()?;
        Ok(())
    }
}

fn parse_key(key: &str) -> Result<Place, String> {
    let (service, id) = key.split_once('/').ok_or("has no `/`")?;
    Ok(Place {
        service: service.parse().map_err(|error| format!("{error}"))?,
        id: id
            .parse::<InstanceId>()
            .map_err(|error| format!("{error}"))?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(id: &str) -> Place {
        Place {
            service: "web".parse().unwrap(),
            id: InstanceId::from_text(id),
        }
    }

    fn stored(port: i64) -> Stored {
        Stored {
            registration: Registration {
                address: "10.0.0.1".to_owned(),
                port: Some(port),
                ..Registration::default()
            },
            ttl_ms: Some(1500),
            since: Timestamp::from_millis(7),
        }
    }

    #[test]
    fn what_was_written_is_there_after_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let database = Database::open(&dir.path().join("new")).unwrap();
        let (a, b) = (place("a"), place("b"));
        let (one, two) = (stored(1), stored(2));
        database
            .write([(&a, Some(&one)), (&b, Some(&two))].into_iter())
            .unwrap();
        database.write([(&b, None)].into_iter()).unwrap();
        drop(database);
        let database = Database::open(&dir.path().join("new")).unwrap();
        let content = database.read().unwrap();
        assert_eq!(content.stored, BTreeMap::from([(a, one)]));
        assert_eq!(content.broken, []);
    }

    #[test]
    fn a_broken_record_is_told_by_itself() {
        let dir = tempfile::tempdir().unwrap();
        let database = Database::open(dir.path()).unwrap();
        database
            .write([(&place("a"), Some(&stored(1)))].into_iter())
            .unwrap();
        let transaction = database.0.begin_write().unwrap();
        {
            let mut table = transaction.open_table(INSTANCES).unwrap();
            table.insert("web/b", b"\xff".as_slice()).unwrap();
            table.insert("web", b"{}".as_slice()).unwrap();
        }
        transaction.commit().unwrap();
        let content = database.read().unwrap();
        assert_eq!((content.stored.len(), content.broken.len()), (1, 2));
    }

    #[test]
    fn a_second_process_is_told_why_it_cannot_open() {
        let dir = tempfile::tempdir().unwrap();
        let _first = Database::open(dir.path()).unwrap();
        let error = Database::open(dir.path()).unwrap_err().to_string();
        assert!(error.contains("store.redb"), "{error}");
    }
}
