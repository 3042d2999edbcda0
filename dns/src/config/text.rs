//! Values that are written as texts.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::{Domain, Mailbox, Network};

macro_rules! text {
    ($type:ty) => {
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?
                    .parse()
                    .map_err(de::Error::custom)
            }
        }

        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
    };
}

text!(Domain);
text!(Mailbox);
text!(Network);
