//! Measured quantities, progress and failure classes: closed sets, so nothing is keyed by free text.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! closed_set {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum $name { $($(#[$vdoc])* #[serde(rename = $text)] $variant,)* }

        impl $name {
            /// Every member, in order.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The name used in logs, on the wire and in reports.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { f.pad(self.as_str()) }
        }

        impl std::str::FromStr for $name {
            type Err = String;
            fn from_str(text: &str) -> Result<Self, String> {
                Self::ALL.iter().copied().find(|member| member.as_str() == text)
                    .ok_or_else(|| format!("`{text}` is not a {}", stringify!($name)))
            }
        }
    };
}

closed_set! {
    /// What a trial measures.
    Metric {
        /// Training loss of the last step or epoch.
        Loss = "loss",
        /// Loss on the validation split.
        ValidationLoss = "validation_loss",
        /// Share of validation rows whose direction class is right.
        ValidationAccuracy = "validation_accuracy",
        /// Calibration error of the direction over 15 bins, debiased, on the validation rows that the calibration was fitted on.
        ValidationEce = "validation_ece",
        /// Brier score of the direction on those rows.
        ValidationBrier = "validation_brier",
        /// Continuous ranked probability score of the return on those rows, log return.
        ValidationCrps = "validation_crps",
        /// Annualised Sharpe ratio of the validation backtest after costs.
        ValidationSharpe = "validation_sharpe",
        /// Total return of the validation backtest after costs.
        ValidationReturn = "validation_return",
        /// Deepest fall from a peak in the validation backtest, a negative fraction.
        ValidationDrawdown = "validation_drawdown",
        /// Folds that were judged.
        CrossValidationFolds = "cross_validation_folds",
        /// Mean over folds of the loss on rows that their trainings never saw.
        CrossValidationLoss = "cross_validation_loss",
        /// Sample deviation of that loss over folds.
        CrossValidationLossDeviation = "cross_validation_loss_deviation",
        /// Mean over folds of the annualised Sharpe ratio of trading those rows, after costs.
        CrossValidationSharpe = "cross_validation_sharpe",
        /// Sample deviation of that ratio over folds.
        CrossValidationSharpeDeviation = "cross_validation_sharpe_deviation",
        /// Mean undiscounted return of finished episodes.
        EpisodeReturn = "episode_return",
        /// Mean undiscounted return of the episodes of an evaluation, by the actions that would be served.
        EvaluationReturn = "evaluation_return",
        /// Actions outside their space that the environment clamped.
        ClampedActions = "clamped_actions",
        /// Share of rows whose probability ratio was clipped.
        Clipped = "clipped",
        /// Entropy of the policy, nats.
        Entropy = "entropy",
        /// Approximate Kullback-Leibler divergence of an update, nats.
        Kl = "kl",
        /// Loss of the value function.
        ValueLoss = "value_loss",
        /// Clipped surrogate loss of the policy.
        PolicyLoss = "policy_loss",
    }
}

closed_set! {
    /// Why an attempt failed, as far as retrying cares.
    FailureClass {
        /// Out of memory.
        Oom = "oom",
        /// A loss, reward or observation was not finite.
        Nan = "nan",
        /// The data is missing, changed or unusable; a retry meets the same data.
        Data = "data",
        /// A peer of the gang failed.
        Collective = "collective",
        /// The attempt ran past its time limit.
        Timeout = "timeout",
        /// The worker vanished: not the trial's fault.
        WorkerLost = "worker_lost",
        /// Anything else: most likely a defect in the program.
        Bug = "bug",
    }
}

/// What a step of training is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProgressUnit {
    /// One pass over the training split.
    Epoch,
    /// One step of one environment.
    EnvStep,
}

impl ProgressUnit {
    /// Several of them, in words.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Epoch => "epochs",
            Self::EnvStep => "steps",
        }
    }
}

/// How far an attempt is. Goes to people and the side log, never into a decision.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// Steps done.
    pub step: u64,
    /// Steps planned.
    pub steps: u64,
    /// What a step is.
    pub unit: ProgressUnit,
    /// Steps a second, lately; 0 while unknown.
    pub rate: f64,
    /// The latest value of each metric.
    pub metrics: BTreeMap<Metric, f64>,
}
