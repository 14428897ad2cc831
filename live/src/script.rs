//! Compares what is derived with what was journalled, record by record.

use std::fmt;

use market::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::journal::Record;

/// The first place where a journal and its derivation part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// Place of the record in the journal, the header being 0.
    pub record: usize,
    /// The bar it belongs to.
    pub bar: Option<Timestamp>,
    /// Path of the field, such as `prediction.output.forecast.expected_return`.
    pub field: String,
    /// What the journal says.
    pub journalled: String,
    /// What was derived.
    pub derived: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { record, field, journalled, derived, .. } = self;
        write!(f, "record {record}")?;
        if let Some(bar) = self.bar {
            write!(f, " (bar {bar})")?;
        }
        write!(f, ", {field}: journalled {journalled}, derived {derived}")
    }
}

/// The records of a journal, read once from front to back.
#[derive(Debug)]
pub(crate) struct Script {
    records: std::vec::IntoIter<Record>,
    taken: usize,
    bar: Option<Timestamp>,
}

/// How a derived record stands to the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// The journal has it, here.
    Journalled,
    /// The journal ended before it.
    New,
}

impl Script {
    pub(crate) fn new(records: Vec<Record>) -> Self {
        Self { records: records.into_iter(), taken: 0, bar: None }
    }

    /// The next record, not yet taken.
    pub(crate) fn peek(&self) -> Option<&Record> {
        self.records.as_slice().first()
    }

    /// Takes the next record as it is.
    pub(crate) fn take(&mut self) -> Option<Record> {
        let record = self.records.next()?;
        self.taken += 1;
        if let Record::Bar(bar) = &record {
            self.bar = Some(bar.time);
        }
        Some(record)
    }

    /// Takes the next record, which must equal `derived`.
    pub(crate) fn expect(&mut self, derived: &Record) -> Result<Standing, Box<Difference>> {
        let Some(journalled) = self.take() else { return Ok(Standing::New) };
        if journalled == *derived {
            return Ok(Standing::Journalled);
        }
        let (field, journalled, derived) = if journalled.name() == derived.name() {
            first_difference(String::new(), &to_value(&journalled), &to_value(derived))
                .unwrap_or_else(|| (journalled.name().to_owned(), format!("{journalled:?}"), format!("{derived:?}")))
        } else {
            ("kind".to_owned(), journalled.name().to_owned(), derived.name().to_owned())
        };
        Err(Box::new(Difference { record: self.taken, bar: self.bar, field, journalled, derived }))
    }

    /// Takes the next record as one that nothing derived.
    pub(crate) fn underived(&mut self) -> Option<Difference> {
        let journalled = self.take()?.name().to_owned();
        let (record, bar) = (self.taken, self.bar);
        Some(Difference { record, bar, field: "kind".to_owned(), journalled, derived: "nothing".to_owned() })
    }

    /// Records taken, which is the place of the last one in the journal.
    pub(crate) const fn taken(&self) -> usize {
        self.taken
    }
}

fn to_value(record: &Record) -> Value {
    serde_json::to_value(record).expect("records hold finite numbers and text keys")
}

/// Path and both values of the first leaf that differs.
fn first_difference(path: String, left: &Value, right: &Value) -> Option<(String, String, String)> {
    let dotted = |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
    match (left, right) {
        (Value::Object(left), Value::Object(right)) => {
            let keys = left.keys().chain(right.keys().filter(|key| !left.contains_key(*key)));
            keys.into_iter().find_map(|key| {
                let side = |map: &serde_json::Map<String, Value>| map.get(key).cloned().unwrap_or(Value::Null);
                first_difference(dotted(key), &side(left), &side(right))
            })
        }
        (Value::Array(left), Value::Array(right)) if left.len() == right.len() => left
            .iter()
            .zip(right)
            .enumerate()
            .find_map(|(index, (left, right))| first_difference(format!("{path}[{index}]"), left, right)),
        (left, right) if left == right => None,
        (left, right) => Some((path, left.to_string(), right.to_string())),
    }
}
