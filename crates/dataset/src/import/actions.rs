//! Splits and cash dividends, and what they make of the prices before them.

use std::collections::BTreeMap;
use std::path::Path;

use market::{Bar, Symbol, Timestamp};
use serde::{Deserialize, Serialize};

use super::number;
use crate::DataError;

/// What a company did.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ActionKind {
    /// So many new shares for one old.
    Split(f64),
    /// Cash a share, in the prices of that day.
    Dividend(f64),
}

/// A corporate action.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Action {
    /// First session at the new price.
    pub date: Timestamp,
    /// What happened.
    pub kind: ActionKind,
}

/// Corporate actions by symbol, in order of date.
pub type Actions = BTreeMap<Symbol, Vec<Action>>;

/// Reads `date, symbol, kind, value` with kind `split` or `dividend`.
///
/// # Errors
/// [`DataError`] naming file, line and column.
pub fn read_actions(path: &Path) -> Result<Actions, DataError> {
    let format = |error: csv::Error| DataError::Format { path: path.to_owned(), why: error.to_string() };
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_path(path).map_err(format)?;
    let header = reader.headers().map_err(format)?.clone();
    let find = |name: &str| {
        header.iter().position(|column| column.eq_ignore_ascii_case(name)).ok_or_else(|| DataError::Column {
            path: path.to_owned(),
            column: name.to_owned(),
            found: header.iter().map(str::to_owned).collect(),
        })
    };
    let columns = [find("date")?, find("symbol")?, find("kind")?, find("value")?];
    let mut actions = Actions::new();
    for record in reader.records() {
        let record = record.map_err(format)?;
        let [date, symbol, kind, value] = columns.map(|column| record.get(column).unwrap_or_default());
        let wrong = |column: &'static str, text: &str, wanted: &'static str| DataError::Cell {
            path: path.to_owned(),
            line: record.position().map_or(0, csv::Position::line),
            column,
            text: text.chars().take(40).collect(),
            wanted,
        };
        let amount = number::parse(value.as_bytes()).filter(|amount| amount.is_finite() && *amount > 0.0);
        let amount = amount.ok_or_else(|| wrong("value", value, "a number above 0"))?;
        let kind = match kind {
            "split" => ActionKind::Split(amount),
            "dividend" => ActionKind::Dividend(amount),
            _ => return Err(wrong("kind", kind, "split or dividend")),
        };
        let date = date.parse().map_err(|_| wrong("date", date, "a date such as 2021-03-04"))?;
        let symbol = Symbol::try_from(symbol.to_owned()).map_err(|_| wrong("symbol", symbol, "a ticker"))?;
        actions.entry(symbol).or_default().push(Action { date, kind });
    }
    actions.values_mut().for_each(|actions| actions.sort_by_key(|action| action.date));
    Ok(actions)
}

/// One action's factors on everything before its date.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Factor {
    date: Timestamp,
    price: f64,
    volume: f64,
}

/// Factors of a series, from the newest action back.
#[derive(Clone, Debug, Default)]
pub(crate) struct Factors {
    /// In order of date; each one's factors hold before it and include all later ones.
    factors: Vec<Factor>,
    /// The first that lies after the last bar taken.
    next: usize,
}

impl Factors {
    /// From the actions and the bars they act on, in order of time. A dividend lowers what came before it by its share of the
    /// last close before its date; one that came before every bar changes nothing.
    ///
    /// # Errors
    /// The action, where a dividend is not below the close before it.
    pub(crate) fn plan(
        actions: &[Action],
        mut next_bar: impl FnMut() -> Result<Option<Bar>, DataError>,
    ) -> Result<Result<Self, Action>, DataError> {
        let mut factors = Vec::with_capacity(actions.len());
        let mut waiting = actions.iter().peekable();
        let mut before: Option<f64> = None;
        while let Some(bar) = next_bar()? {
            while let Some(action) = waiting.next_if(|action| action.date <= bar.time) {
                let Some(close) = before else { continue };
                let (price, volume) = match action.kind {
                    ActionKind::Split(ratio) => (1.0 / ratio, ratio),
                    ActionKind::Dividend(cash) if cash < close => (1.0 - cash / close, 1.0),
                    ActionKind::Dividend(_) => return Ok(Err(*action)),
                };
                factors.push(Factor { date: action.date, price, volume });
            }
            before = Some(bar.close);
        }
        for at in (1..factors.len()).rev() {
            let later = factors[at];
            factors[at - 1].price *= later.price;
            factors[at - 1].volume *= later.volume;
        }
        Ok(Ok(Self { factors, next: 0 }))
    }

    /// Adjusts the next bar, in order of time: one factor on open, high, low and close, the splits' on the volume.
    pub(crate) fn apply(&mut self, bar: &mut Bar) {
        while self.factors.get(self.next).is_some_and(|factor| factor.date <= bar.time) {
            self.next += 1;
        }
        if let Some(factor) = self.factors.get(self.next) {
            for price in [&mut bar.open, &mut bar.high, &mut bar.low, &mut bar.close] {
                *price *= factor.price;
            }
            bar.volume *= factor.volume;
        }
    }
}
