//! Normalisation of channels without a memory of other rows: layer (Ba et al. 2016) and group (Wu and He 2018). Never over
//! a batch: a row's values would then depend on its company.

use std::ops::Range;

use crate::{Draw, Layout};

/// Added to a variance.
const EPSILON: f64 = 1e-5;

/// Which values are brought to mean 0 and deviation 1 together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Normalisation {
    /// None.
    Off,
    /// The channels of a step.
    Layer,
    /// So many groups of channels, each over the whole window; they divide the channels.
    Group(usize),
}

/// A normalisation with its gain and offset a channel.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Norm {
    time: usize,
    channels: usize,
    /// 0 for the channels of a step.
    groups: usize,
    gain: Range<usize>,
    offset: Range<usize>,
}

/// What a forward pass leaves for the way back.
#[derive(Clone, Debug)]
pub(crate) struct NormTape {
    /// `[time × rows × channels]`: before gain and offset.
    standard: Vec<f32>,
    /// 1 over the deviation of each set.
    scales: Vec<f32>,
}

impl NormTape {
    pub(crate) const fn values(&self) -> usize {
        self.standard.len() + self.scales.len()
    }
}

impl Norm {
    /// `None` for [`Normalisation::Off`].
    pub(crate) fn new(
        layout: &mut Layout,
        name: &str,
        (time, channels): (usize, usize),
        kind: Normalisation,
    ) -> Option<Self> {
        let groups = match kind {
            Normalisation::Off => return None,
            Normalisation::Layer => 0,
            Normalisation::Group(groups) => {
                assert!(groups > 0 && channels.is_multiple_of(groups), "groups divide the channels");
                groups
            }
        };
        let gain = layout.add(format!("{name}.gain"), &[channels], Draw::Constant(1.0));
        let offset = layout.add(format!("{name}.offset"), &[channels], Draw::Constant(0.0));
        Some(Self { time, channels, groups, gain, offset })
    }

    /// Sets of a batch.
    const fn sets(&self, rows: usize) -> usize {
        if self.groups == 0 { self.time * rows } else { rows * self.groups }
    }

    pub(crate) fn tape(&self, rows: usize) -> NormTape {
        NormTape { standard: vec![0.0; self.time * rows * self.channels], scales: vec![0.0; self.sets(rows)] }
    }

    /// Where the values of a set lie: pieces of so many values, and the first channel of each.
    #[allow(clippy::manual_checked_ops, reason = "no group is another layout, not a division that fails")]
    fn pieces(&self, set: usize, rows: usize) -> (impl Iterator<Item = Range<usize>> + Clone + use<>, usize) {
        let channels = self.channels;
        let (count, first, stride, width) = if self.groups == 0 {
            (1, set * channels, 0, channels)
        } else {
            let (row, group) = (set / self.groups, set % self.groups);
            let width = channels / self.groups;
            (self.time, row * channels + group * width, rows * channels, width)
        };
        ((0..count).map(move |piece| first + piece * stride..first + piece * stride + width), first % channels)
    }

    /// In place, `[time × rows × channels]`.
    pub(crate) fn forward(&self, weights: &[f32], rows: usize, values: &mut [f32], tape: &mut NormTape) {
        let (gain, offset) = (&weights[self.gain.clone()], &weights[self.offset.clone()]);
        for set in 0..self.sets(rows) {
            let (pieces, channel) = self.pieces(set, rows);
            let all = || pieces.clone().flat_map(|piece| values[piece].iter().map(|value| f64::from(*value)));
            let count = all().count() as f64;
            let mean = all().sum::<f64>() / count;
            let variance = all().map(|value| (value - mean) * (value - mean)).sum::<f64>() / count;
            let scale = 1.0 / (variance + EPSILON).sqrt();
            tape.scales[set] = scale as f32;
            for piece in pieces.clone() {
                let standard = &mut tape.standard[piece.clone()];
                for (index, (value, standard)) in values[piece].iter_mut().zip(standard).enumerate() {
                    *standard = ((f64::from(*value) - mean) * scale) as f32;
                    *value = *standard * gain[channel + index] + offset[channel + index];
                }
            }
        }
    }

    /// Turns the gradient of the result into that of what went in; adds the weights'.
    pub(crate) fn backward(
        &self,
        (weights, gradient): (&[f32], &mut [f32]),
        rows: usize,
        d_values: &mut [f32],
        tape: &NormTape,
    ) {
        for set in 0..self.sets(rows) {
            let (pieces, channel) = self.pieces(set, rows);
            let gain = &weights[self.gain.clone()][channel..];
            let (mut sum, mut along, mut count) = (0.0, 0.0, 0.0);
            for piece in pieces.clone() {
                let standard = &tape.standard[piece.clone()];
                for (index, (d, standard)) in d_values[piece].iter_mut().zip(standard).enumerate() {
                    gradient[self.gain.start + channel + index] += *d * standard;
                    gradient[self.offset.start + channel + index] += *d;
                    *d *= gain[index];
                    sum += f64::from(*d);
                    along += f64::from(*d) * f64::from(*standard);
                    count += 1.0;
                }
            }
            let (mean, along, scale) = (sum / count, along / count, f64::from(tape.scales[set]));
            for piece in pieces {
                let standard = &tape.standard[piece.clone()];
                for (d, standard) in d_values[piece].iter_mut().zip(standard) {
                    *d = (scale * (f64::from(*d) - mean - f64::from(*standard) * along)) as f32;
                }
            }
        }
    }
}
