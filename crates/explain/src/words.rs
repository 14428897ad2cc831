//! An explanation in words: what drives a number, how far, and at which bar most.

use market::Timestamp;
use models::Target;
use serde::Serialize;

use crate::{Explanation, Grain};

/// Drivers that are named in words.
const NAMED: usize = 5;

/// Bars that attention is named of.
const ATTENDED: usize = 3;

/// What drives a number: a feature over the window, or a bar where bars are not told apart by feature.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Driver {
    /// Name of the feature, or date of the bar.
    pub name: String,
    /// What it adds, in the target's unit.
    pub value: f64,
    /// The standard error of that; of sampled ones that are players themselves.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<f64>,
    /// Its part in the sum of the magnitudes of all.
    pub share: f64,
    /// The bar that adds most to it in its direction, and how much; where bars are told apart.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peak: Option<(Timestamp, f64)>,
}

/// What drives the number, strongest first.
#[must_use]
pub fn drivers(explanation: &Explanation) -> Vec<Driver> {
    let mut drivers: Vec<Driver> = match explanation.grain {
        Grain::Cell => explanation.features.iter().enumerate().map(|at| over_the_window(explanation, at)).collect(),
        Grain::Feature => explanation.features.iter().enumerate().map(|at| player(explanation, at)).collect(),
        Grain::Bar => {
            let dates: Vec<String> = explanation.bars.iter().map(|bar| moment(*bar)).collect();
            dates.iter().enumerate().map(|at| player(explanation, at)).collect()
        }
    };
    let pull: f64 = drivers.iter().map(|driver| driver.value.abs()).sum();
    drivers.iter_mut().for_each(|driver| driver.share = if pull > 0.0 { driver.value.abs() / pull } else { 0.0 });
    drivers.sort_by(|a, b| b.value.abs().total_cmp(&a.value.abs()));
    drivers
}

fn player(explanation: &Explanation, (at, name): (usize, &String)) -> Driver {
    let error = explanation.errors.as_ref().map(|errors| errors[at]);
    Driver { name: name.clone(), value: explanation.values[at], error, share: 0.0, peak: None }
}

fn over_the_window(explanation: &Explanation, (row, name): (usize, &String)) -> Driver {
    let cells = || explanation.bars.iter().enumerate().map(|(column, bar)| (*bar, explanation.at(column, row)));
    let value: f64 = cells().map(|(_, value)| value).sum();
    let peak = cells().max_by(|(_, a), (_, b)| (a * value.signum()).total_cmp(&(b * value.signum())));
    Driver { name: name.clone(), value, error: None, share: 0.0, peak }
}

/// The explanation in sentences: what is said, what drives it, where attention lies, and what is left over.
#[must_use]
pub fn sentences(explanation: &Explanation) -> Vec<String> {
    let target = explanation.target;
    let (score, baseline) = (level(target, explanation.score), level(target, explanation.baseline));
    let mut lines = vec![format!(
        "At {} the model puts {} at {score}; with these features at their training mean it would be {baseline}.",
        moment(explanation.bar),
        subject(target),
    )];
    for (index, driver) in drivers(explanation).iter().take(NAMED).enumerate() {
        let verb = if driver.value < 0.0 { "lowers" } else { "raises" };
        let error = driver.error.map(|error| format!(" ± {}", amount(target, error))).unwrap_or_default();
        let peak = driver.peak.map(|(bar, value)| format!(", most at {}: {}", moment(bar), change(target, value)));
        lines.push(format!(
            "{}. {} {verb} it by {}{error} ({:.0} % of all pull){}",
            index + 1,
            driver.name,
            amount(target, driver.value),
            100.0 * driver.share,
            peak.unwrap_or_default(),
        ));
    }
    lines.extend(attention(explanation));
    lines.push(format!(
        "The attributions miss what they explain by {}; {} is tolerated ({}).",
        amount(target, explanation.residual),
        amount(target, explanation.tolerance),
        explanation.method.sentence(),
    ));
    lines
}

fn attention(explanation: &Explanation) -> Option<String> {
    let shares = explanation.attention.as_ref()?;
    let mut bars: Vec<(&Timestamp, &f32)> = explanation.bars.iter().zip(shares).collect();
    bars.sort_by(|a, b| b.1.total_cmp(a.1));
    let named = bars.iter().take(ATTENDED).map(|(bar, share)| format!("{} ({:.1} %)", moment(**bar), 100.0 * **share));
    let named: Vec<String> = named.collect();
    Some(format!("Attention lies most on {}; an even share is {:.1} %.", named.join(", "), 100.0 / bars.len() as f64))
}

/// What a target is called in a sentence.
pub(crate) const fn subject(target: Target) -> &'static str {
    match target {
        Target::ExpectedReturn => "the expected return",
        Target::Down => "the probability of down",
        Target::Flat => "the probability of flat",
        Target::Up => "the probability of up",
        Target::Volatility => "the volatility of a bar",
    }
}

/// What a difference is counted in.
const fn unit(target: Target) -> &'static str {
    match target {
        Target::ExpectedReturn | Target::Volatility => "%",
        Target::Down | Target::Flat | Target::Up => "points",
    }
}

/// A value of the target: a return with its sign, all in per cent.
pub(crate) fn level(target: Target, value: f64) -> String {
    let sign = if target == Target::ExpectedReturn && value > 0.0 { "+" } else { "" };
    format!("{sign}{} %", digits(100.0 * value))
}

/// A difference of the target with its sign: per cent of a return, points of a probability.
pub(crate) fn change(target: Target, value: f64) -> String {
    format!("{}{} {}", if value > 0.0 { "+" } else { "" }, digits(100.0 * value), unit(target))
}

/// The size of a difference.
fn amount(target: Target, value: f64) -> String {
    format!("{} {}", digits(100.0 * value.abs()), unit(target))
}

/// Three significant digits, a true minus, no exponent down to a millionth.
fn digits(value: f64) -> String {
    if value.abs() < 1e-6 {
        return "0".to_owned();
    }
    // The power of ten once it is rounded: 0.9999 is 1.00.
    let rounded = format!("{value:.2e}");
    let power: i32 = rounded.split_once('e').and_then(|(_, power)| power.parse().ok()).unwrap_or(0);
    let decimals = (2 - power).clamp(0, 8) as usize;
    format!("{value:.decimals$}").replace('-', "−")
}

/// Date, and the time of day where it is not midnight.
pub(crate) fn moment(time: Timestamp) -> String {
    let text = time.to_string();
    match text.split_once('T') {
        Some((date, "00:00:00Z")) => date.to_owned(),
        Some(_) | None => text,
    }
}

#[cfg(test)]
mod tests;
