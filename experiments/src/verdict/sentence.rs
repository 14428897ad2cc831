//! The honest sentence: what the best trial earned on the test split, against its baselines, after costs.

use crate::figure;

/// Total returns on the test split after costs, as fractions.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Returns {
    pub(crate) model: f64,
    pub(crate) buy_and_hold: f64,
    pub(crate) zero: f64,
}

impl Returns {
    /// Whether the model beats both baselines.
    pub(crate) fn beats_both(&self) -> bool {
        self.model > self.buy_and_hold && self.model > self.zero
    }
}

/// One sentence; `trials_ever` counts all trials ever run on this data, which is what a good figure is discounted by.
pub(crate) fn sentence((name, seen): (&str, &str), returns: &Returns, trials_ever: u64) -> String {
    let hold = format!("buy-and-hold ({})", figure::change(returns.buy_and_hold));
    let zero = format!("holding nothing ({})", figure::change(returns.zero));
    let comparison = match (returns.model > returns.buy_and_hold, returns.model > returns.zero) {
        (true, true) => format!("beats {hold} and {zero}"),
        (true, false) => format!("beats {hold} but does not beat {zero}"),
        (false, true) => format!("beats {zero} but does not beat {hold}"),
        (false, false) => format!("beats neither {hold} nor {zero}"),
    };
    let ever = match trials_ever {
        1 => "1 trial was".to_owned(),
        count => format!("{} trials were", figure::grouped(i64::try_from(count).unwrap_or(i64::MAX))),
    };
    format!(
        "After costs {name} returned {} on the test split, {seen}: it {comparison}; {ever} ever run on this data.",
        figure::change(returns.model)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(model: f64, buy_and_hold: f64) -> String {
        sentence(("the best trial", "seen once by this experiment"), &Returns { model, buy_and_hold, zero: 0.0 }, 24)
    }

    #[test]
    fn the_sentence_says_which_baselines_are_beaten_and_by_what_figures() {
        assert_eq!(
            said(0.117, 0.382),
            "After costs the best trial returned +11.7 % on the test split, seen once by this experiment: it beats \
             holding nothing (0.0 %) but does not beat buy-and-hold (+38.2 %); 24 trials were ever run on this data."
        );
        assert!(said(0.5, 0.4).contains("it beats buy-and-hold (+40.0 %) and holding nothing (0.0 %)"));
        assert!(said(-0.1, -0.2).contains("it beats buy-and-hold (−20.0 %) but does not beat holding nothing"));
        assert!(said(-0.3, -0.2).contains("it beats neither buy-and-hold (−20.0 %) nor holding nothing (0.0 %)"));
    }

    #[test]
    fn a_tie_or_a_figure_that_is_no_number_beats_nothing() {
        assert!(said(0.0, 0.0).contains("beats neither"));
        assert!(said(f64::NAN, 0.1).contains("beats neither"));
        assert!(!Returns { model: f64::NAN, buy_and_hold: -1.0, zero: 0.0 }.beats_both());
    }
}
