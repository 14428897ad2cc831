//! An amount of memory as people write it: `512MiB`, `4GiB`. Shown to a tenth of its natural unit, written exactly.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Units with their size, the largest first.
const UNITS: [(&str, u64); 5] = [("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

/// An amount of memory in bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Bytes(pub u64);

impl Bytes {
    /// The amount in the largest unit that holds it whole: what is written to files.
    fn exact(self) -> String {
        let whole = UNITS.iter().find(|(_, size)| self.0 > 0 && self.0.is_multiple_of(*size));
        let (unit, size) = whole.unwrap_or(&("B", 1));
        format!("{}{unit}", self.0 / size)
    }
}

/// For people: to a tenth of the largest unit that it fills.
impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // In 128 bits, so that no amount overflows on its way to tenths.
        let tenths = |size: u64| (u128::from(self.0) * 10 + u128::from(size) / 2) / u128::from(size);
        // Bytes below the first unit are whole; above, rounding may fill the next one: 1023.99KiB is 1.0MiB.
        let fits = |size: u64| size == 1 || (self.0 >= 1 << 10 && tenths(size) >= 10);
        let (unit, size) = UNITS.iter().find(|(_, size)| fits(*size)).unwrap_or(&("B", 1));
        if self.0.is_multiple_of(*size) {
            write!(f, "{}{unit}", self.0 / size)
        } else {
            write!(f, "{}.{}{unit}", tenths(*size) / 10, tenths(*size) % 10)
        }
    }
}

impl FromStr for Bytes {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let error = || format!("`{text}` is not an amount of memory: write 512MiB, 4GiB or 1TiB");
        let digits = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(error)?;
        let amount: u64 = text[..digits].parse().map_err(|_| error())?;
        let (_, size) = UNITS.iter().find(|(unit, _)| *unit == &text[digits..]).ok_or_else(error)?;
        amount.checked_mul(*size).map(Self).ok_or_else(error)
    }
}

impl Serialize for Bytes {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.exact())
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl schemars::JsonSchema for Bytes {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Bytes".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string", "description": "An amount of memory: 512MiB, 4GiB, 1TiB", "pattern": r"^\d+(B|KiB|MiB|GiB|TiB)$"
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_amount_reads_as_it_prints_and_anything_else_is_refused() {
        for (text, bytes) in [("0B", 0), ("512MiB", 512 << 20), ("4GiB", 4 << 30), ("1TiB", 1 << 40), ("1023B", 1023)] {
            assert_eq!(text.parse(), Ok(Bytes(bytes)));
            assert_eq!(Bytes(bytes).exact(), text);
            assert_eq!(Bytes(bytes).to_string(), text);
        }
        for text in ["4", "4GB", "4 GiB", "-1GiB", "GiB", "", "99999999999TiB"] {
            assert!(text.parse::<Bytes>().unwrap_err().ends_with("write 512MiB, 4GiB or 1TiB"), "{text}");
        }
    }

    #[test]
    fn people_see_the_natural_unit_and_files_the_exact_amount() {
        let machine = Bytes(24_689_528 << 10);
        assert_eq!(machine.to_string(), "23.5GiB");
        assert_eq!(serde_json::to_string(&machine).unwrap(), "\"24689528KiB\"");
        assert_eq!(serde_json::from_str::<Bytes>("\"24689528KiB\"").unwrap(), machine);
        for (bytes, shown) in
            [(1_536 << 20, "1.5GiB"), ((1 << 20) - 1, "1.0MiB"), (1_025, "1.0KiB"), (u64::MAX, "16777216.0TiB")]
        {
            assert_eq!(Bytes(bytes).to_string(), shown);
        }
    }
}
