//! Numbers as text: true minus signs, few digits, units where they belong.

use market::Timestamp;
use spec::ParamValue;

const MICROS_PER_SECOND: f64 = 1e6;

/// About four significant digits; `–` for what was not measured.
pub(crate) fn number(value: f64) -> String {
    let magnitude = value.abs();
    if !value.is_finite() {
        "–".to_owned()
    } else if magnitude != 0.0 && !(1e-3..1e6).contains(&magnitude) {
        minus(&format!("{value:.2e}"))
    } else {
        let decimals = if magnitude >= 100.0 {
            1
        } else if magnitude >= 10.0 {
            2
        } else {
            3
        };
        minus(&format!("{value:.decimals$}"))
    }
}

/// A mean with its deviation.
pub(crate) fn spread(mean: f64, deviation: f64) -> String {
    format!("{} ± {}", number(mean), number(deviation))
}

/// A fraction as a percentage with one decimal.
pub(crate) fn percent(fraction: f64) -> String {
    if fraction.is_finite() { minus(&format!("{:.1} %", fraction * 100.0)) } else { "–".to_owned() }
}

/// A fraction as a percentage that always shows its sign.
pub(crate) fn change(fraction: f64) -> String {
    let text = percent(fraction);
    if fraction > 0.0 { format!("+{text}") } else { text }
}

/// An amount in whole units of currency, grouped by thousands with thin spaces.
pub(crate) fn amount(value: f64) -> String {
    grouped(value.round() as i64)
}

/// A whole number, grouped by thousands with thin spaces.
pub(crate) fn grouped(value: i64) -> String {
    let digits = value.unsigned_abs().to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push('\u{2009}');
        }
        text.push(digit);
    }
    if value < 0 { format!("−{text}") } else { text }
}

/// A swept parameter.
pub(crate) fn parameter(value: &ParamValue) -> String {
    match value {
        ParamValue::Bool(switch) => switch.to_string(),
        ParamValue::Integer(whole) => whole.to_string().replace('-', "−"),
        ParamValue::Real(real) => significant(*real),
        ParamValue::Text(word) => word.clone(),
        ParamValue::List(values) => {
            let items: Vec<String> = values.iter().map(parameter).collect();
            format!("[{}]", items.join(", "))
        }
    }
}

/// Three significant digits without an exponent, as far as they go.
pub(crate) fn significant(value: f64) -> String {
    if value == 0.0 || !value.is_finite() {
        return number(value).replace("0.000", "0");
    }
    let decimals = (2.0 - value.abs().log10().floor()).clamp(0.0, 9.0) as usize;
    minus(&format!("{value:.decimals$}"))
}

/// With the decimals that tell values within `range` apart by a thousandth of it.
pub(crate) fn decimals(value: f64, range: f64) -> String {
    let decimals = if range > 0.0 { (2.0 - range.log10().floor()).clamp(0.0, 9.0) as usize } else { 3 };
    minus(&format!("{value:.decimals$}"))
}

/// Seconds since the epoch, for scales.
pub(crate) fn seconds(time: Timestamp) -> f64 {
    time.micros() as f64 / MICROS_PER_SECOND
}

/// Date, and the time of day where it is not midnight.
pub(crate) fn moment(time: Timestamp) -> String {
    let text = time.to_string();
    match text.split_once('T') {
        Some((date, "00:00:00Z")) => date.to_owned(),
        Some((date, rest)) => format!("{date} {}", rest.chars().take(5).collect::<String>()),
        None => text,
    }
}

/// A true minus, and no minus before a rounded zero.
pub(crate) fn minus(text: &str) -> String {
    match text.strip_prefix('-') {
        Some(rest) if rest.chars().any(|c| ('1'..='9').contains(&c)) => format!("−{}", rest.replace("e-", "e−")),
        Some(rest) => rest.to_owned(),
        None => text.replace("e-", "e−"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well_at_every_size() {
        let shown: Vec<String> = [0.0, -0.0001, 0.5, -1.25, 12.345, -1234.5, 2.5e7, f64::NAN].map(number).into();
        assert_eq!(shown, ["0.000", "−1.00e−4", "0.500", "−1.250", "12.35", "−1234.5", "2.50e7", "–"]);
        assert_eq!(grouped(-1_234_567), "−1\u{2009}234\u{2009}567");
        assert_eq!(amount(999.6), "1\u{2009}000");
        assert_eq!(change(0.1234), "+12.3 %");
        assert_eq!(change(-0.0001), "0.0 %");
        assert_eq!(significant(0.003_127_9), "0.00313");
        assert_eq!(significant(1234.0), "1234");
    }

    #[test]
    fn a_daily_bar_shows_its_date_and_an_intraday_bar_its_time() {
        assert_eq!(moment("2021-01-04".parse().unwrap()), "2021-01-04");
        assert_eq!(moment("2021-01-04T15:30:00Z".parse().unwrap()), "2021-01-04 15:30");
    }
}
