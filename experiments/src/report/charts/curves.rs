//! Learning curves of all trials, one small chart per metric, the best trial on top.

use maud::{Markup, html};
use spec::Metric;

use crate::figure;
use crate::report::chart::{Axis, Frame, Plane, px};
use crate::report::{Report, TrialLine};

const WIDTH: f64 = 490.0;
const HEIGHT: f64 = 280.0;
const FRAME: Frame = Frame { left: 52.0, right: 472.0, top: 30.0, bottom: 226.0 };
/// Small charts shown.
const METRICS_MAX: usize = 4;
/// Trials drawn; the best is always among them.
pub(in crate::report) const TRIALS_MAX: usize = 100;
/// What a reader wants to see first.
const ORDER: [Metric; 14] = [
    Metric::EvaluationReturn,
    Metric::EpisodeReturn,
    Metric::Loss,
    Metric::ValidationLoss,
    Metric::ValidationAccuracy,
    Metric::ValidationSharpe,
    Metric::ValidationReturn,
    Metric::Entropy,
    Metric::ValueLoss,
    Metric::PolicyLoss,
    Metric::Kl,
    Metric::Clipped,
    Metric::ValidationDrawdown,
    Metric::ClampedActions,
];

/// One chart per metric that some trial reported more than once.
pub(in crate::report) fn render(report: &Report<'_>) -> Vec<Markup> {
    let shown = ORDER.into_iter().filter(|metric| report.trials.iter().any(|trial| points(trial, *metric).count() > 1));
    shown.take(METRICS_MAX).map(|metric| chart(report, metric)).collect()
}

fn points(trial: &TrialLine, metric: Metric) -> impl Iterator<Item = (f64, f64)> + '_ {
    let point = move |(step, metrics): &(u64, std::collections::BTreeMap<Metric, f64>)| {
        metrics.get(&metric).map(|value| (*step as f64, *value))
    };
    trial.curve.iter().filter_map(point).filter(|(_, value)| value.is_finite())
}

fn chart(report: &Report<'_>, metric: Metric) -> Markup {
    let drawn: Vec<&TrialLine> = report
        .trials
        .iter()
        .filter(|trial| points(trial, metric).next().is_some())
        .filter(|trial| Some(trial.index) != report.best)
        .take(TRIALS_MAX - 1)
        .collect();
    let best = report.best_trial().filter(|trial| points(trial, metric).next().is_some());
    let all = || drawn.iter().copied().chain(best).flat_map(|trial| points(trial, metric));
    let steps = Axis::counted(all().map(|point| point.0), 5, report.unit_label()).written(steps);
    let plane = Plane { frame: FRAME, x: steps, y: Axis::rounded(all().map(|point| point.1), 4, title(metric)) };
    html! {
        svg viewBox=(format!("0 0 {WIDTH} {HEIGHT}")) role="img" aria-label=(format!("{} by {}", title(metric), report.unit_label())) {
            (plane.grid())
            @for trial in &drawn { (curve(trial, metric, &plane, "curve other")) }
            @if let Some(trial) = best {
                (curve(trial, metric, &plane, "curve model"))
                @if let Some((x, y)) = points(trial, metric).last().map(|(x, y)| plane.at(x, y)) {
                    circle.dot.model cx=(px(x)) cy=(px(y)) r="3.5" {}
                }
            }
        }
    }
}

fn curve(trial: &TrialLine, metric: Metric, plane: &Plane, class: &str) -> Markup {
    let last = points(trial, metric).last().map_or(f64::NAN, |point| point.1);
    html! {
        g {
            path class=(class) d=(plane.path(points(trial, metric))) {}
            // A wide invisible twin makes a thin line easy to point at.
            path.reach d=(plane.path(points(trial, metric))) {
                title { "trial " (trial.index) ", seed " (trial.seed) "\n" (title(metric)) " at the end: " (figure::number(last)) }
            }
        }
    }
}

fn steps(value: f64) -> String {
    if value >= 1e6 {
        format!("{}M", value / 1e6)
    } else if value >= 1e4 {
        format!("{}k", value / 1e3)
    } else {
        figure::significant(value).split('.').next().unwrap_or_default().to_owned()
    }
}

/// A metric's name with its unit, for axes and column heads.
pub(in crate::report) const fn title(metric: Metric) -> &'static str {
    match metric {
        Metric::Loss => "Training loss",
        Metric::ValidationLoss => "Validation loss",
        Metric::ValidationAccuracy => "Validation accuracy (share)",
        Metric::ValidationEce => "Calibration error (share)",
        Metric::ValidationBrier => "Brier score",
        Metric::ValidationCrps => "CRPS (log return)",
        Metric::ValidationSharpe => "Validation Sharpe (a year)",
        Metric::ValidationReturn => "Validation return (fraction)",
        Metric::ValidationDrawdown => "Validation drawdown (fraction)",
        Metric::CrossValidationFolds => "Folds (count)",
        Metric::CrossValidationLoss => "Cross-validation loss",
        Metric::CrossValidationLossDeviation => "Deviation of the loss over folds",
        Metric::CrossValidationSharpe => "Cross-validation Sharpe (a year)",
        Metric::CrossValidationSharpeDeviation => "Deviation of the Sharpe over folds (a year)",
        Metric::EpisodeReturn => "Episode return (sum of rewards)",
        Metric::EvaluationReturn => "Return on validation (sum of rewards)",
        Metric::ClampedActions => "Actions clamped (count)",
        Metric::Clipped => "Ratios clipped (share)",
        Metric::Entropy => "Entropy (nats)",
        Metric::Kl => "KL divergence (nats)",
        Metric::ValueLoss => "Value loss",
        Metric::PolicyLoss => "Policy loss",
    }
}
