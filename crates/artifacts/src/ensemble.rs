//! A bundle of policies that act as one, or of forecasters whose forecasts are averaged. It holds its members' weights itself, so one digest says all that decides.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use spec::{ActionMode, BundleId, Combination, Digest, EnvSpec, MEMBERS_MAX, Metric, Reward, TaskSpec, canonical_json};

use crate::bundle::{Bundle, BundleKind, ENCODER, ENCODER_STATE, FORMAT, FileEntry, Manifest};

/// What the manifest of an ensemble says in place of a network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Membership {
    /// How their actions become one.
    pub combine: Combination,
    /// In the order of their files.
    pub members: Vec<Member>,
}

/// A policy with its say.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Member {
    /// The bundle it was.
    pub digest: BundleId,
    /// Its share; all of them sum to 1.
    pub weight: f64,
    /// Its network's shape, for whoever builds it.
    pub network: serde_json::Value,
}

/// Why bundles are no ensemble.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum EnsembleError {
    /// Too few or too many.
    #[error("an ensemble has 2 to {MEMBERS_MAX} members, not {0}")]
    Count(usize),
    /// An ensemble itself.
    #[error("bundle {0} is an ensemble itself: name its members")]
    Nested(BundleId),
    /// Forecasters among policies.
    #[error("bundle {other} is a {kind:?} and bundle {first} is not: an ensemble acts, or it forecasts")]
    Kinds {
        /// The first member.
        first: BundleId,
        /// One of another kind.
        other: BundleId,
        /// Its kind.
        kind: BundleKind,
    },
    /// Forecasts have no votes.
    #[error("forecasters are combined by `mean`: they name no actions to vote for")]
    NoVotes,
    /// One policy under two names.
    #[error("bundle {0} is a member twice: its weight would be split")]
    Twice(BundleId),
    /// The weights are no shares.
    #[error("the weights of an ensemble are finite, none negative, and sum to 1")]
    Weights,
    /// Members that see or trade different things.
    #[error("bundle {other} has other {what} than bundle {first}: members see the same row and trade the same market")]
    Differs {
        /// The first member.
        first: BundleId,
        /// One that is unlike it.
        other: BundleId,
        /// In what.
        what: &'static str,
    },
}

/// How far the sum of weights may be from 1.
const WEIGHTS_TOLERANCE: f64 = 1e-9;

/// The file that holds a member's weights.
pub(crate) fn member_file(index: usize) -> String {
    format!("weights-{index:02}.safetensors")
}

impl Bundle {
    /// Combines policies, or forecasters, that see the same row of the same data and trade the same market. The trial of its
    /// manifest is that of the member with the largest weight. It has no calibration: those of its members are not its own.
    ///
    /// # Errors
    /// [`EnsembleError`].
    pub fn ensemble(
        members: &[(&Self, f64)],
        combine: Combination,
        metrics: BTreeMap<Metric, f64>,
    ) -> Result<Self, EnsembleError> {
        if !(2..=MEMBERS_MAX).contains(&members.len()) {
            return Err(EnsembleError::Count(members.len()));
        }
        let sum: f64 = members.iter().map(|(_, weight)| weight).sum();
        let shares = members.iter().all(|(_, weight)| weight.is_finite() && *weight >= 0.0);
        if !shares || (sum - 1.0).abs() > WEIGHTS_TOLERANCE {
            return Err(EnsembleError::Weights);
        }
        let first = members[0].0;
        if first.manifest().kind == BundleKind::Forecaster && combine == Combination::Argmax {
            return Err(EnsembleError::NoVotes);
        }
        let mut files = BTreeMap::from([("features.json".to_owned(), first.features().to_vec())]);
        if let Some((state, weights)) = first.encoder() {
            files.insert(ENCODER_STATE.to_owned(), state.to_vec());
            files.insert(ENCODER.to_owned(), weights.to_vec());
        }
        for (index, (member, _)) in members.iter().enumerate() {
            let Some(weights) = member.weights() else {
                return Err(EnsembleError::Nested(member.id()));
            };
            let kind = member.manifest().kind;
            if kind != first.manifest().kind {
                return Err(EnsembleError::Kinds { first: first.id(), other: member.id(), kind });
            }
            if let Some(what) = difference(first, member) {
                return Err(EnsembleError::Differs { first: first.id(), other: member.id(), what });
            }
            if members[..index].iter().any(|(earlier, _)| earlier.id() == member.id()) {
                return Err(EnsembleError::Twice(member.id()));
            }
            files.insert(member_file(index), weights.to_vec());
        }
        let lead = members.iter().fold(&members[0], |lead, member| if member.1 > lead.1 { member } else { lead }).0;
        let members: Vec<Member> = members
            .iter()
            .map(|(member, weight)| Member {
                digest: member.id(),
                weight: *weight,
                network: member.manifest().network.clone(),
            })
            .collect();
        files.insert("card.md".to_owned(), card(&members, how(first, combine), &metrics).into_bytes());
        let entry = |bytes: &Vec<u8>| FileEntry { digest: Digest::of(bytes), bytes: bytes.len() as u64 };
        let manifest = Manifest {
            format: FORMAT,
            kind: BundleKind::Ensemble,
            network: serde_json::to_value(Membership { combine, members }).expect("plain data has a JSON form"),
            files: files.iter().map(|(name, bytes)| (name.clone(), entry(bytes))).collect(),
            metrics,
            ..lead.manifest().clone()
        };
        Ok(Self::of(BundleId(Digest::of(&canonical_json(&manifest))), manifest, files))
    }

    /// The weights of an ensemble's member, as safetensors.
    #[must_use]
    pub fn member_weights(&self, index: usize) -> Option<&[u8]> {
        self.file(&member_file(index))
    }
}

/// In what two members cannot act or forecast together.
fn difference(first: &Bundle, other: &Bundle) -> Option<&'static str> {
    // How a member names an exposure and what rewarded it is its own matter.
    let market = |bundle: &Bundle| EnvSpec {
        action: ActionMode::Discrete,
        reward: Reward::LogReturn,
        episode_bars: 2,
        ..bundle.manifest().trial.env.clone()
    };
    // Of forecasters: what their forecasts are of, how far they are trusted, and what is traded on them.
    let labels = |bundle: &Bundle| match &bundle.manifest().trial.task {
        TaskSpec::Supervised(task) => Some((task.horizon, task.flat_band, task.labels, task.heads)),
        TaskSpec::Rl(_) => None,
    };
    let calibration = |bundle: &Bundle| match &bundle.manifest().trial.task {
        // What a network says that tells no direction from another hangs on how rows were counted.
        TaskSpec::Supervised(task) => task.calibration.map(|wanted| (wanted, task.imbalance)),
        TaskSpec::Rl(_) => None,
    };
    let traded = |bundle: &Bundle| match &bundle.manifest().trial.task {
        TaskSpec::Supervised(_) => Some(bundle.manifest().trial.strategy.clone()),
        TaskSpec::Rl(_) => None,
    };
    let (a, b) = (&first.manifest().trial, &other.manifest().trial);
    [
        // What a member learned from beside the traded symbol is its own matter.
        (a.data_digest != b.data_digest || a.data.traded() != b.data.traded(), "data or splits"),
        (first.features() != other.features(), "features"),
        (first.encoder() != other.encoder(), "encoders"),
        (market(first) != market(other), "costs or limits"),
        (labels(first) != labels(other), "horizon, labels or heads"),
        (calibration(first) != calibration(other), "calibration, or how rows were counted that it corrects"),
        (traded(first) != traded(other), "strategy"),
    ]
    .into_iter()
    .find_map(|(differs, what)| differs.then_some(what))
}

/// What an ensemble does, in words.
const fn how(first: &Bundle, combine: Combination) -> &'static str {
    match (first.manifest().kind, combine) {
        (BundleKind::Forecaster, _) => "Forecasts the mean of what its members forecast",
        (BundleKind::Policy | BundleKind::Ensemble, Combination::Mean) => "Acts by the mean of their exposures",
        (BundleKind::Policy | BundleKind::Ensemble, Combination::Argmax) => "Acts by the action with most weight",
    }
}

/// The card that people read.
fn card(members: &[Member], how: &str, metrics: &BTreeMap<Metric, f64>) -> String {
    use std::fmt::Write as _;
    let mut card = format!("# Ensemble\n\n{how}.\n\n| member | weight |\n|---|---:|\n");
    // Writing to a String cannot fail.
    for member in members {
        let _ = writeln!(card, "| {} | {:.4} |", member.digest, member.weight);
    }
    if !metrics.is_empty() {
        card.push_str("\n| metric | value |\n|---|---:|\n");
    }
    for (metric, value) in metrics {
        let _ = writeln!(card, "| {metric} | {value:.6} |");
    }
    card
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bundle::tests::policy;

    fn none() -> BTreeMap<Metric, f64> {
        BTreeMap::new()
    }

    #[test]
    fn an_ensemble_has_one_digest_for_members_and_weights() {
        let (a, b) = (policy(1), policy(2));
        let build = |x: f64| Bundle::ensemble(&[(&a, x), (&b, 1.0 - x)], Combination::Mean, none()).unwrap();
        let even = build(0.5);
        assert_eq!(even.id(), build(0.5).id());
        assert_ne!(even.id(), build(0.25).id());
        let voting = Bundle::ensemble(&[(&a, 0.5), (&b, 0.5)], Combination::Argmax, none()).unwrap();
        assert_ne!(even.id(), voting.id());
        assert_eq!(even.member_weights(1), b.weights());
        assert_eq!((even.weights(), even.member_weights(2)), (None, None));
        let membership: Membership = serde_json::from_value(build(0.25).manifest().network.clone()).unwrap();
        let said: Vec<_> = membership.members.iter().map(|member| (member.digest, member.weight)).collect();
        assert_eq!(said, [(a.id(), 0.25), (b.id(), 0.75)]);
        assert_eq!(build(0.25).manifest().trial.seed, 2, "the heavier member's trial stands for all");
    }

    #[test]
    fn an_ensemble_survives_its_canonical_form() {
        let (a, b) = (policy(1), policy(2));
        let whole = Bundle::ensemble(&[(&a, 0.1), (&b, 0.9)], Combination::Mean, none()).unwrap();
        let manifest = Bundle::read_manifest(whole.id(), &canonical_json(whole.manifest())).unwrap();
        let mut files: BTreeMap<_, _> = whole.files().map(|(name, bytes)| (name.to_owned(), bytes.to_vec())).collect();
        assert_eq!(Bundle::assemble(whole.id(), manifest.clone(), files.clone()).unwrap(), whole);
        files.insert(member_file(1), vec![9]);
        let error = Bundle::assemble(whole.id(), manifest, files).unwrap_err();
        assert!(error.to_string().contains("weights-01.safetensors was changed"), "{error}");
    }

    #[test]
    fn forecasters_are_averaged_where_they_forecast_the_same() {
        use crate::bundle::tests::{bundle, bundle_with};
        let (a, b) = (bundle(1), bundle(2));
        let whole = Bundle::ensemble(&[(&a, 0.5), (&b, 0.5)], Combination::Mean, none()).unwrap();
        assert_eq!((whole.manifest().kind, whole.member_weights(1)), (BundleKind::Ensemble, b.weights()));
        let fitted = a.clone().calibrated(b"{}".to_vec());
        let again = Bundle::ensemble(&[(&fitted, 0.5), (&b, 0.5)], Combination::Mean, none()).unwrap();
        assert_eq!(again.calibration(), None, "that of a member is not the ensemble's");
        let votes = Bundle::ensemble(&[(&a, 0.5), (&b, 0.5)], Combination::Argmax, none()).unwrap_err();
        assert_eq!(votes, EnsembleError::NoVotes);
        let farther = bundle_with(|parts| {
            let TaskSpec::Supervised(task) = &mut parts.trial.task else { panic!("it forecasts") };
            task.horizon += 1;
        });
        let error = Bundle::ensemble(&[(&a, 0.5), (&farther, 0.5)], Combination::Mean, none()).unwrap_err();
        assert!(error.to_string().contains("other horizon, labels or heads"), "{error}");
    }

    #[test]
    fn what_cannot_act_together_is_refused_with_the_reason() {
        let (a, b) = (policy(1), policy(2));
        let said =
            |members: &[(&Bundle, f64)]| Bundle::ensemble(members, Combination::Mean, none()).unwrap_err().to_string();
        assert!(said(&[(&a, 1.0)]).contains("2 to 16 members, not 1"));
        for weights in [[0.5, 0.6], [1.5, -0.5], [f64::NAN, 1.0]] {
            assert!(said(&[(&a, weights[0]), (&b, weights[1])]).contains("sum to 1"));
        }
        let forecaster = crate::bundle::tests::bundle(3);
        assert!(said(&[(&a, 0.5), (&forecaster, 0.5)]).contains("is a Forecaster and"));
        let whole = Bundle::ensemble(&[(&a, 0.5), (&b, 0.5)], Combination::Mean, none()).unwrap();
        assert!(said(&[(&a, 0.5), (&whole, 0.5)]).contains("is an ensemble itself"));
        let dear = crate::bundle::tests::policy_with(|parts| parts.trial.env.cash += 1);
        assert!(said(&[(&a, 0.5), (&dear, 0.5)]).contains("other costs or limits"));
        let blind = crate::bundle::tests::policy_with(|parts| parts.features = b"[]".to_vec());
        assert!(said(&[(&a, 0.5), (&blind, 0.5)]).contains("other features"));
        let (seeing, whole) = (b.encoding(vec![1], vec![2]), a.clone().encoding(vec![1], vec![2]));
        assert!(said(&[(&a, 0.5), (&seeing, 0.5)]).contains("other encoders"));
        let both = Bundle::ensemble(&[(&whole, 0.5), (&seeing, 0.5)], Combination::Mean, none()).unwrap();
        assert_eq!(both.encoder(), whole.encoder(), "its members see through one encoder, and it holds it once");
        let elsewhere = crate::bundle::tests::policy_with(|parts| parts.trial.data_digest = Digest::of(b"else"));
        assert!(said(&[(&a, 0.5), (&elsewhere, 0.5)]).contains("other data"));
        let continuous = crate::bundle::tests::policy_with(|parts| parts.trial.env.action = ActionMode::Continuous);
        assert!(Bundle::ensemble(&[(&a, 0.5), (&continuous, 0.5)], Combination::Mean, none()).is_ok());
    }
}
