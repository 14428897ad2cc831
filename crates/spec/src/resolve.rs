//! Fills in what a file may leave open, once, before anything starts: so the hash of a spec says all that was run.

use crate::yaml::Positions;
use crate::{Device, Dimension, EncoderFacts, EncoderRef, ExperimentSpec, Facts, MissingEncoder, ParamValue, TaskSpec};

/// The spec with its open ends decided: `purge` is the longest horizon of any trial, `auto` a device, a `batch` that the
/// file does not name at most `trials`, the GPUs fit the device, and an encoder is named by its digest or given up.
#[must_use]
pub fn resolve(spec: &ExperimentSpec, positions: &Positions, facts: &Facts) -> ExperimentSpec {
    let mut spec = spec.clone();
    if spec.data.split.purge == 0 {
        spec.data.split.purge = reach(&spec);
    }
    if !positions.written("sweep.batch") {
        spec.sweep.batch = spec.sweep.batch.min(spec.sweep.trials.max(1));
    }
    if spec.resources.device == Device::Auto {
        spec.resources.device = if facts.gpus > 0 { Device::Cuda } else { Device::Cpu };
        if spec.resources.device == Device::Cpu {
            spec.resources.gpus = 0;
        }
    }
    if spec.resources.device == Device::Cuda {
        spec.resources.gpus = spec.resources.gpus.max(1);
    }
    encoder(&mut spec, facts);
    spec
}

/// A missing encoder that is refused stays as it was written.
fn encoder(spec: &mut ExperimentSpec, facts: &Facts) {
    let (Some(encoder), Some(found)) = (&mut spec.encoder, &facts.encoder) else { return };
    let bundle = match found {
        EncoderFacts::Forecaster(forecaster) => forecaster.bundle,
        EncoderFacts::NoForecaster { bundle } => *bundle,
        EncoderFacts::Missing { .. } => {
            if encoder.missing == MissingEncoder::Indicators {
                spec.encoder = None;
            }
            return;
        }
    };
    encoder.bundle = EncoderRef::Bundle(bundle);
    // It is not missing: what would be done then decides nothing any more.
    encoder.missing = MissingEncoder::Refuse;
}

/// Bars after its own that a row of any trial looks at: the horizon of a forecast, the fill of an action.
pub(crate) fn reach(spec: &ExperimentSpec) -> u32 {
    let TaskSpec::Supervised(task) = &spec.task else { return 1 };
    let swept = spec.sweep.space.get("task.supervised.horizon").map(largest).unwrap_or_default();
    task.horizon.max(u32::try_from(swept).unwrap_or(u32::MAX))
}

/// The largest whole number of a dimension, 0 for one without.
fn largest(dimension: &Dimension) -> i64 {
    match dimension {
        Dimension::Integer(_, high) | Dimension::LogInteger(_, high) => *high,
        Dimension::Choice(values) => values
            .iter()
            .filter_map(|value| match value {
                ParamValue::Integer(whole) => Some(*whole),
                ParamValue::Bool(_) | ParamValue::Real(_) | ParamValue::Text(_) | ParamValue::List(_) => None,
            })
            .max()
            .unwrap_or_default(),
        Dimension::Uniform(..) | Dimension::LogUniform(..) => 0,
    }
    .max(0)
}
