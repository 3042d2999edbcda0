//! How a balancer stands in the configuration.

use std::fmt;

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{self, MapAccess, Visitor, value::MapAccessDeserializer},
};

use super::{Algorithm, Balancer};

/// The largest factor of a bound.
const FACTOR_MAX: f64 = 100.0;

/// Bounds what an instance may have to do by a multiple of its share, in percent of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct BoundedLoad(u32);

impl BoundedLoad {
    /// Returns the multiple in percent, 100 to 10000.
    pub(crate) fn percent(self) -> u64 {
        u64::from(self.0)
    }
}

impl TryFrom<f64> for BoundedLoad {
    type Error = String;

    fn try_from(factor: f64) -> Result<Self, String> {
        match (1.0..=FACTOR_MAX).contains(&factor) {
            // Whole percents, and of those no more than fit.
            true => Ok(Self((factor * 100.0).round() as u32)),
            false => Err(format!(
                "bounded_load: `{factor}` is not between 1.0 and {FACTOR_MAX:.1}"
            )),
        }
    }
}

impl From<BoundedLoad> for f64 {
    fn from(bound: BoundedLoad) -> Self {
        Self::from(bound.0) / 100.0
    }
}

/// A balancer with all that can be said of it.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    algorithm: Algorithm,
    #[serde(default)]
    bounded_load: Option<BoundedLoad>,
}

impl Serialize for Balancer {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (algorithm, bounded_load) = (self.algorithm, self.bounded_load);
        match bounded_load {
            None => algorithm.serialize(serializer),
            Some(_) => Table {
                algorithm,
                bounded_load,
            }
            .serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Balancer {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NameOrTable)
    }
}

/// Reads either form, so that errors are those of the form that was meant.
struct NameOrTable;

impl<'de> Visitor<'de> for NameOrTable {
    type Value = Balancer;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("the name of a balancer or a table with its `algorithm`")
    }

    fn visit_str<E: de::Error>(self, name: &str) -> Result<Balancer, E> {
        Algorithm::deserialize(de::value::StrDeserializer::new(name)).map(Balancer::from)
    }

    fn visit_map<M: MapAccess<'de>>(self, map: M) -> Result<Balancer, M::Error> {
        let Table {
            algorithm,
            bounded_load,
        } = Table::deserialize(MapAccessDeserializer::new(map))?;
        if bounded_load.is_some() && algorithm.heeds_load() {
            return Err(de::Error::custom(
                "bounded_load: this algorithm looks at the load already",
            ));
        }
        Ok(Balancer {
            algorithm,
            bounded_load,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Holder {
        balancer: Balancer,
    }

    fn read(text: &str) -> Result<Balancer, String> {
        let holder: Result<Holder, _> = toml::from_str(&format!("balancer = {text}"));
        holder
            .map(|holder| holder.balancer)
            .map_err(|error| error.message().to_owned())
    }

    #[test]
    fn a_name_or_a_table_says_it() {
        assert_eq!(read("'maglev'").unwrap(), Algorithm::Maglev.into());
        assert_eq!(
            read("{ algorithm = 'random' }").unwrap(),
            Algorithm::Random.into()
        );
        let bounded = read("{ algorithm = 'ring_hash', bounded_load = 1.25 }").unwrap();
        assert_eq!(bounded.bounded_load.unwrap().percent(), 125);
        for balancer in [bounded, Algorithm::P2c.into()] {
            let text = toml::to_string(&Holder { balancer }).unwrap();
            assert_eq!(toml::from_str::<Holder>(&text).unwrap().balancer, balancer);
        }
    }

    #[test]
    fn what_can_not_be_is_said() {
        for (text, part) in [
            (
                "'fastest'",
                "unknown variant `fastest`, expected one of `p2c`",
            ),
            (
                "{ algorithm = 'maglev', bound = 2 }",
                "unknown field `bound`",
            ),
            (
                "{ algorithm = 'maglev', bounded_load = 0.9 }",
                "`0.9` is not between 1.0 and 100.0",
            ),
            (
                "{ algorithm = 'p2c', bounded_load = 1.5 }",
                "looks at the load already",
            ),
            ("{}", "missing field `algorithm`"),
            ("7", "expected the name of a balancer or a table"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
