//! Mean, deviation, skewness, kurtosis.

/// The arithmetic mean; NaN for an empty slice.
#[must_use]
pub fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// The sample standard deviation (ddof 1); NaN below two values.
#[must_use]
pub fn deviation(values: &[f64]) -> f64 {
    let mean = mean(values);
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    if values.len() < 2 { f64::NAN } else { (squares / (values.len() as f64 - 1.0)).sqrt() }
}

/// Population skewness; NaN where nothing varies.
#[must_use]
pub fn skewness(values: &[f64]) -> f64 {
    standardised_moment(values, 3)
}

/// Population kurtosis, raw: 3 for a normal; NaN where nothing varies.
#[must_use]
pub fn kurtosis(values: &[f64]) -> f64 {
    standardised_moment(values, 4)
}

fn standardised_moment(values: &[f64], order: i32) -> f64 {
    let mean = mean(values);
    let count = values.len() as f64;
    let moment = |order: i32| values.iter().map(|value| (value - mean).powi(order)).sum::<f64>() / count;
    moment(order) / moment(2).powf(f64::from(order) / 2.0)
}
