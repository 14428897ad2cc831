//! The question an experiment asks, whole: its spec, its data, and what computes the answer.

use artifacts::Kernel;
use serde::{Deserialize, Serialize};
use spec::{Digest, ExperimentId, ExperimentSpec, MEMORY_ROWS, Params, canonical_json};

/// Characters of a name kept in an experiment's id, so that name, dash and digits stay within 64.
const NAME_MAX: usize = 55;

/// What makes two runs the same run. Everything here can change a result; nothing else can.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Question {
    /// The resolved spec, its device included, without what changes no result: order, place and deadline.
    pub spec: ExperimentSpec,
    /// Content digest of the bars.
    pub data_digest: Digest,
    /// The same of the other symbols that forecasters learn from, in their order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub companion_digests: Vec<Digest>,
    /// What an earlier sweep saw, for a sampler that begins with it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub seen: Vec<Seen>,
    /// Build that computes.
    pub code_version: String,
    /// Machine and options that decide the last bit.
    pub kernel: Kernel,
}

/// A point of an earlier sweep.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Seen {
    /// Where it lies.
    pub params: Params,
    /// The sweep's objective and then its further ones, as measured, each the mean over seeds.
    pub objectives: Vec<f64>,
}

impl Question {
    /// The cache key of the run: resolved spec, data, code version and kernel.
    #[must_use]
    pub fn run_key(&self) -> Digest {
        Digest::of(&canonical_json(self))
    }

    /// Decides which points are drawn: spec and data alone, so another machine or build tries the same points and its
    /// results can be compared trial by trial. So does a worker that remembers more of its encoder or less.
    #[must_use]
    pub fn sampling_key(&self) -> Digest {
        let mut spec = self.spec.clone();
        if let Some(encoder) = &mut spec.encoder {
            encoder.memory_rows = MEMORY_ROWS;
        }
        Digest::of(&canonical_json(&(&spec, &self.data_digest)))
    }

    /// The experiment's id: its name and the first digits of the run key.
    ///
    /// # Panics
    /// Never: a name cut short stays a name.
    #[must_use]
    pub fn experiment(&self) -> ExperimentId {
        let name: String = self.spec.name.as_str().chars().take(NAME_MAX).collect();
        format!("{name}-{}", self.run_key().short()).parse().expect("a name, a dash and hex digits are an id")
    }
}

/// The spec without what changes no result.
#[must_use]
pub fn normalised(spec: &ExperimentSpec) -> ExperimentSpec {
    let mut spec = spec.clone();
    spec.sweep.parallel = None;
    spec.priority = 0;
    spec.deadline = None;
    spec.after = Vec::new();
    (spec.fallback, spec.fallback_after) = (None, None);
    spec.resources.memory = None;
    spec.resources.gpu_memory = None;
    spec.resources.custom.clear();
    spec
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    #[test]
    fn everything_that_can_change_a_result_changes_the_run_key() {
        let question = fixture::question(fixture::random_sweep());
        let key = question.run_key();
        let changes: [fn(&mut Question); 7] = [
            |question| question.spec.sweep.batch = 1,
            |question| question.spec.sweep.seeds.push(3),
            |question| question.data_digest = Digest::of(b"other bars"),
            |question| question.companion_digests.push(Digest::of(b"bars beside them")),
            |question| question.spec.resources.device = spec::Device::Cuda,
            |question| question.code_version.push_str("-dirty"),
            |question| question.kernel.threads = 2,
        ];
        for change in changes {
            let mut other = question.clone();
            change(&mut other);
            assert_ne!(other.run_key(), key);
        }
    }

    #[test]
    fn how_much_of_an_encoder_is_remembered_draws_no_other_points() {
        let plain = fixture::question(fixture::random_sweep());
        let seeing = |memory_rows: u32| {
            let mut question = plain.clone();
            let bundle = spec::EncoderRef::Bundle(spec::BundleId(Digest::of(b"encoder")));
            question.spec.encoder =
                Some(spec::EncoderSpec { bundle, memory_rows, missing: spec::MissingEncoder::Refuse });
            question
        };
        assert_eq!(seeing(8).sampling_key(), seeing(MEMORY_ROWS).sampling_key());
        assert_ne!(seeing(8).sampling_key(), plain.sampling_key());
        let as_it_was = Digest::of(&canonical_json(&(&plain.spec, &plain.data_digest)));
        assert_eq!(plain.sampling_key(), as_it_was, "without an encoder nothing is changed");
    }

    #[test]
    fn parallelism_priority_and_fallback_do_not_make_another_run() {
        let mut spec = fixture::spec(fixture::random_sweep());
        let plain = normalised(&spec);
        (spec.sweep.parallel, spec.priority) = (Some(3), -7);
        (spec.fallback, spec.fallback_after) = (Some(spec::Fallback::Local), Some(spec::Span::from_secs(5)));
        (spec.after, spec.resources.memory) = (vec!["other".parse().unwrap()], Some(spec::Bytes(1 << 30)));
        assert_eq!(normalised(&spec), plain);
    }

    #[test]
    fn a_long_name_is_cut_and_the_key_still_tells_runs_apart() {
        let mut question = fixture::question(fixture::random_sweep());
        question.spec.name = "n".repeat(64).parse().unwrap();
        let experiment = question.experiment();
        assert!(experiment.as_str().len() <= 64);
        assert!(experiment.as_str().ends_with(&question.run_key().short()));
    }
}
