//! Where the judged bundle stands in the registry: champion by proof, challenger without.

use artifacts::{Alias, Evidence, Moved, Registry, RegistryError, gate};
use market::Timestamp;
use spec::{BundleId, Digest, ModelName, TrialId, canonical_json};

use crate::summary::{GateFigure, Promotion};

/// Who the alias log names.
const ACTOR: &str = "run";

/// A bundle with the trial that made it, on its way into a model.
#[derive(Clone, Copy, Debug)]
pub(super) struct Candidate<'a> {
    pub(super) model: &'a ModelName,
    pub(super) trial: &'a TrialId,
    pub(super) bundle: BundleId,
}

/// Registers the candidate and points an alias at it. One that stands there already is not moved again, so the log has
/// one line for one promotion.
pub(super) fn take(
    registry: &mut Registry,
    candidate: Candidate<'_>,
    judged: &gate::Verdict,
    evidence: &Evidence,
    now: Timestamp,
) -> Result<Promotion, RegistryError> {
    let Candidate { model, trial, bundle } = candidate;
    let version = registry.register(model, bundle, trial, now)?;
    let alias = if judged.validated.is_some() { Alias::Champion } else { Alias::Challenger };
    let expected = registry.alias(model, alias)?;
    if expected != Some(bundle) {
        let evidence = Digest::of(&canonical_json(evidence));
        let moved = Moved { expected, at: now, actor: ACTOR, evidence };
        match &judged.validated {
            Some(proof) => registry.promote(model, proof, &moved)?,
            None => registry.challenge(model, bundle, &moved)?,
        }
    }
    Ok(Promotion {
        model: model.clone(),
        version: version.0,
        alias,
        moved: judged.validated.is_some(),
        gates: judged.gates.iter().map(GateFigure::of).collect(),
    })
}

#[cfg(test)]
mod tests {
    use spec::GateSpec;

    use super::*;

    fn evidence(buy_and_hold_return: f64) -> Evidence {
        Evidence {
            test_returns: (0..500).map(|bar| 0.002 + 0.004 * f64::from(bar % 3 - 1)).collect(),
            buy_and_hold_return,
            trial_sharpes: vec![0.0, 0.01, 0.02],
            trials_ever: 3,
            parity_rows: 1,
            parity_mismatches: 0,
        }
    }

    fn stand(registry: &mut Registry, name: &str, evidence: &Evidence) -> Promotion {
        let (model, trial) = ("quickstart".parse().unwrap(), "quickstart-1.0".parse().unwrap());
        let bundle = BundleId(Digest::of(name.as_bytes()));
        let judged = gate::judge(evidence, &GateSpec::default(), bundle);
        let candidate = Candidate { model: &model, trial: &trial, bundle };
        take(registry, candidate, &judged, evidence, Timestamp::default()).unwrap()
    }

    #[test]
    fn a_refused_bundle_stands_as_challenger_and_the_champion_stays() {
        let home = tempfile::tempdir().unwrap();
        let mut registry = Registry::open(&home.path().join("registry.db")).unwrap();
        let champion = stand(&mut registry, "good", &evidence(0.0));
        assert_eq!((champion.version, champion.alias, champion.moved), (1, Alias::Champion, true));
        let challenger = stand(&mut registry, "worse", &evidence(99.0));
        assert_eq!((challenger.version, challenger.alias, challenger.moved), (2, Alias::Challenger, false));
        assert_eq!(challenger.gates.iter().filter(|gate| !gate.passed).count(), 1);
        let (_, standing) = registry.resolve("quickstart@champion").unwrap();
        assert_eq!(standing, BundleId(Digest::of(b"good")));
    }

    #[test]
    fn concluding_twice_moves_an_alias_once() {
        let home = tempfile::tempdir().unwrap();
        let mut registry = Registry::open(&home.path().join("registry.db")).unwrap();
        let first = stand(&mut registry, "good", &evidence(0.0));
        assert_eq!(stand(&mut registry, "good", &evidence(0.0)), first);
        assert_eq!(registry.history(&"quickstart".parse().unwrap()).unwrap().len(), 1);
    }
}
