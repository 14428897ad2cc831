//! One bar for the sweep, one for each running trial; plain lines where stderr is no terminal.

use std::collections::BTreeMap;
use std::io::IsTerminal as _;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use protocol::{TrialState, TrialView, Update};
use spec::{Metric, Progress, TrialId};

/// Follows an experiment on stderr.
pub(crate) struct Bars {
    screen: MultiProgress,
    sweep: ProgressBar,
    running: BTreeMap<TrialId, ProgressBar>,
    states: BTreeMap<TrialId, &'static str>,
    plain: bool,
}

impl Bars {
    /// Bars for `trials` trials.
    pub(crate) fn new(trials: u64) -> Self {
        let screen = MultiProgress::new();
        let sweep = screen.add(ProgressBar::new(trials));
        sweep.set_style(style("{prefix:>14} {bar:30} {pos}/{len} trials  {elapsed}{msg}"));
        sweep.set_prefix("sweep");
        Self {
            screen,
            sweep,
            running: BTreeMap::new(),
            states: BTreeMap::new(),
            plain: !std::io::stderr().is_terminal(),
        }
    }

    /// Takes in one update.
    pub(crate) fn update(&mut self, update: &Update) {
        match update {
            Update::Trial(trial) => self.trial(trial),
            Update::Progress { trial, progress, .. } => self.progress(trial, progress),
            Update::Experiment(_) => {}
        }
    }

    /// Removes the bars.
    pub(crate) fn finish(&self) {
        self.sweep.finish_and_clear();
        for bar in self.running.values() {
            bar.finish_and_clear();
        }
    }

    fn trial(&mut self, trial: &TrialView) {
        let name = trial.status.name();
        if self.states.insert(trial.trial.clone(), name) == Some(name) {
            return;
        }
        let note = note(trial);
        if self.plain && trial.status.is_final() {
            eprintln!("  {} {name}{note}", trial.trial);
        } else if !note.is_empty() {
            let _ = self.screen.println(format!("  {} {name}{note}", trial.trial));
        }
        if trial.status.live_attempt().is_none()
            && let Some(bar) = self.running.remove(&trial.trial)
        {
            bar.finish_and_clear();
            self.screen.remove(&bar);
        }
        if trial.status.is_final() {
            self.sweep.inc(1);
        }
    }

    fn progress(&mut self, trial: &TrialId, progress: &Progress) {
        let screen = &self.screen;
        let bar = self.running.entry(trial.clone()).or_insert_with(|| {
            let bar = screen.add(ProgressBar::new(progress.steps));
            let unit = progress.unit.as_str();
            bar.set_style(style(&format!("{{prefix:>14}} {{bar:30}} {{pos}}/{{len}} {unit}  {{msg}}")));
            bar.set_prefix(format!("trial {}", trial.index));
            bar
        });
        bar.set_position(progress.step);
        bar.set_message(summary(progress));
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("━╸─")
}

/// Why a trial did not simply succeed; empty when it did.
fn note(trial: &TrialView) -> String {
    let losses = match trial.worker_losses {
        0 => String::new(),
        1 => " after one lost worker".to_owned(),
        n => format!(" after {n} lost workers"),
    };
    match &trial.status {
        TrialState::Failed { class, message } => format!(" ({class}: {message}){losses}"),
        TrialState::Succeeded { .. } | TrialState::Queued { .. } => losses,
        TrialState::Waiting { .. }
        | TrialState::Leased { .. }
        | TrialState::Running { .. }
        | TrialState::Paused { .. }
        | TrialState::Pruned
        | TrialState::Cancelled => String::new(),
    }
}

/// Loss, rate and the time left.
fn summary(progress: &Progress) -> String {
    let shown = [
        (Metric::Loss, "loss"),
        (Metric::ValidationLoss, "validation"),
        (Metric::EpisodeReturn, "episode return"),
        (Metric::Entropy, "entropy"),
    ];
    let mut parts: Vec<String> = shown
        .iter()
        .filter_map(|(metric, label)| progress.metrics.get(metric).map(|value| format!("{label} {value:.4}")))
        .collect();
    if let Some(folds) = progress.metrics.get(&Metric::CrossValidationFolds) {
        parts.insert(0, format!("folds judged {folds:.0}"));
    }
    if progress.rate > 0.0 {
        parts.push(format!("{:.1}/s", progress.rate));
        let left = progress.steps.saturating_sub(progress.step) as f64 / progress.rate;
        parts.push(format!("{left:.0} s left"));
    }
    parts.join(" · ")
}

#[cfg(test)]
mod tests {
    use spec::ProgressUnit;

    use super::*;

    #[test]
    fn a_summary_names_loss_rate_and_time_left() {
        let progress = Progress {
            step: 5,
            steps: 15,
            unit: ProgressUnit::Epoch,
            rate: 2.0,
            metrics: BTreeMap::from([(Metric::Loss, 0.5), (Metric::ValidationLoss, 0.25)]),
        };
        assert_eq!(summary(&progress), "loss 0.5000 · validation 0.2500 · 2.0/s · 5 s left");
        let of_folds =
            Progress { metrics: BTreeMap::from([(Metric::CrossValidationFolds, 3.0)]), rate: 0.0, ..progress };
        assert_eq!(summary(&of_folds), "folds judged 3");
        assert_eq!(summary(&Progress { rate: 0.0, metrics: BTreeMap::new(), ..progress }), "");
    }
}
