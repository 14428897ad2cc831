//! Conv1d ×2 with ReLU → LSTM → attention pooling over a window of observations.
//!
//! The state begins at zero with each window, so features are a function of the window alone: what an agent saw last time
//! is rebuilt, never carried. The first `burn_in` steps only warm the state up; no gradient flows back into them
//! (Kapturowski et al. 2019).

use crate::Layout;
use crate::attention::{Attention, AttentionTape};
use crate::convolution::{Convolution, Padded};
use crate::lstm::{Lstm, LstmTape};

/// Sizes of a [`CnnLstm`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CnnLstmShape {
    /// Steps of a window.
    pub window: usize,
    /// Values of a step.
    pub width: usize,
    /// Values of a row behind its window; they are passed on as they are.
    pub rest: usize,
    /// Channels of both convolutions.
    pub channels: usize,
    /// Width of a convolution in steps, odd.
    pub kernel: usize,
    /// Units of each LSTM layer.
    pub hidden: usize,
    /// LSTM layers.
    pub layers: usize,
    /// Steps at the start of a window that no gradient reaches; below `window`.
    pub burn_in: usize,
}

/// The layers; weights live in the caller's flat buffer.
#[derive(Clone, Debug, PartialEq)]
pub struct CnnLstm {
    shape: CnnLstmShape,
    padded: Padded,
    convolutions: [Convolution; 2],
    lstm: Vec<Lstm>,
    attention: Attention,
}

/// Activations of one batch, and their gradients.
#[derive(Clone, Debug)]
pub struct CnnLstmTape {
    /// Padded: the windows, then each convolution's output; and the gradients of the latter.
    rows: [Vec<f32>; 3],
    d_rows: [Vec<f32>; 2],
    spread: Vec<f32>,
    /// `[time × batch × channels]`: input of the first LSTM layer.
    sequence: Vec<f32>,
    lstm: Vec<LstmTape>,
    attention: AttentionTape,
    /// `[time × batch × wide]`, wide enough for any layer: what flows back, and where to.
    d_sequences: [Vec<f32>; 2],
    output: Vec<f32>,
    gradient: Vec<f32>,
    width: usize,
}

impl CnnLstm {
    /// Adds its tensors to a layout, their names beginning with `name`.
    ///
    /// # Panics
    /// When `burn_in` leaves nothing to learn from, or the kernel is even: a caller's bug.
    pub fn new(layout: &mut Layout, name: &str, shape: CnnLstmShape) -> Self {
        assert!(shape.burn_in < shape.window && shape.kernel % 2 == 1 && shape.layers > 0);
        let padded = Padded { window: shape.window, kernel: shape.kernel };
        let convolutions = [(0, shape.width), (1, shape.channels)].map(|(index, inputs)| {
            Convolution::new(layout, &format!("{name}.convolution{index}"), padded, (inputs, shape.channels))
        });
        let lstm = (0..shape.layers).map(|layer| {
            let inputs = if layer == 0 { shape.channels } else { shape.hidden };
            Lstm::new(layout, &format!("{name}.lstm{layer}"), (shape.window, inputs, shape.hidden))
        });
        let lstm = lstm.collect();
        let sizes = (shape.window, shape.hidden, shape.hidden + shape.rest);
        let attention = Attention::new(layout, &format!("{name}.attention"), sizes);
        Self { shape, padded, convolutions, lstm, attention }
    }

    /// Values of an input row.
    #[must_use]
    pub const fn inputs(&self) -> usize {
        self.shape.window * self.shape.width + self.shape.rest
    }

    /// Features of an output row.
    #[must_use]
    pub const fn outputs(&self) -> usize {
        self.shape.hidden + self.shape.rest
    }

    /// Multiply-adds of a forward pass over one row.
    #[must_use]
    pub fn multiply_adds(&self) -> u64 {
        let steps: u64 = self.lstm.iter().map(Lstm::multiply_adds).sum::<u64>() + self.attention.multiply_adds();
        self.convolutions.iter().map(Convolution::multiply_adds).sum::<u64>() + self.shape.window as u64 * steps
    }

    /// Room for batches of up to `batch` rows.
    #[must_use]
    pub fn tape(&self, batch: usize) -> CnnLstmTape {
        let CnnLstmShape { window, width, channels, hidden, .. } = self.shape;
        let padded = |width: usize| vec![0.0; self.padded.rows(batch) * width];
        let wide = || vec![0.0; window * batch * channels.max(hidden)];
        CnnLstmTape {
            rows: [padded(width), padded(channels), padded(channels)],
            d_rows: [padded(channels), padded(channels)],
            spread: vec![0.0; self.convolutions[1].spread(batch)],
            sequence: vec![0.0; window * batch * channels],
            lstm: self.lstm.iter().map(|layer| layer.tape(batch)).collect(),
            attention: self.attention.tape(batch),
            d_sequences: [wide(), wide()],
            output: vec![0.0; batch * self.outputs()],
            gradient: vec![0.0; batch * self.outputs()],
            width: self.outputs(),
        }
    }

    /// Computes a batch; the result is [`CnnLstmTape::output`].
    ///
    /// # Shapes
    /// `input`: `[rows × (window × width + rest)]`, oldest step first.
    pub fn forward(&self, weights: &[f32], input: &[f32], rows: usize, tape: &mut CnnLstmTape) {
        let CnnLstmShape { window, width, channels, hidden, rest, .. } = self.shape;
        let seen = window * width;
        for (index, row) in input.chunks_exact(self.inputs()).take(rows).enumerate() {
            let at = self.padded.start(index) * width;
            tape.rows[0][at..at + seen].copy_from_slice(&row[..seen]);
            let out = &mut tape.output[index * (hidden + rest)..(index + 1) * (hidden + rest)];
            out[hidden..].copy_from_slice(&row[seen..]);
        }
        let [windows, first, second] = &mut tape.rows;
        self.convolutions[0].forward(weights, windows, rows, first);
        self.convolutions[1].forward(weights, first, rows, second);
        for (row, time, here) in self.places(rows) {
            let to = (time * rows + row) * channels;
            tape.sequence[to..to + channels].copy_from_slice(&second[here..here + channels]);
        }
        let step = rows * hidden;
        for (index, layer) in self.lstm.iter().enumerate() {
            let (before, own) = tape.lstm.split_at_mut(index);
            let input = before.last().map_or(tape.sequence.as_slice(), |below| &below.states[step..]);
            layer.forward(weights, input, rows, &mut own[0]);
        }
        let y = &tape.lstm[tape.lstm.len() - 1].states[step..];
        self.attention.forward(weights, (y, rows), &mut tape.attention, &mut tape.output);
    }

    /// Goes back through the last forward pass, from the gradient that the caller wrote to
    /// [`CnnLstmTape::output_gradient`]; adds to `gradient`.
    pub fn backward(&self, weights: &[f32], rows: usize, tape: &mut CnnLstmTape, gradient: &mut [f32]) {
        let CnnLstmShape { window, channels, hidden, burn_in, .. } = self.shape;
        let step = rows * hidden;
        let [mut d_y, mut d_input] = tape.d_sequences.each_mut();
        let y = &tape.lstm[tape.lstm.len() - 1].states[step..];
        let d_pooled = (tape.gradient.as_slice(), rows);
        self.attention.backward((weights, gradient), (y, d_y), &mut tape.attention, d_pooled);
        for (index, layer) in self.lstm.iter().enumerate().rev() {
            let (before, own) = tape.lstm.split_at_mut(index);
            let input = before.last().map_or(tape.sequence.as_slice(), |below| &below.states[step..]);
            let inputs = if index == 0 { channels } else { hidden };
            let flows = (input, &**d_y, &mut d_input[..window * rows * inputs]);
            layer.backward((weights, gradient), flows, (rows, burn_in), &mut own[0]);
            std::mem::swap(&mut d_y, &mut d_input);
        }
        let [d_first, d_second] = &mut tape.d_rows;
        d_second.fill(0.0);
        for (row, time, here) in self.places(rows) {
            let from = (time * rows + row) * channels;
            d_second[here..here + channels].copy_from_slice(&d_y[from..from + channels]);
        }
        let [windows, first, second] = &tape.rows;
        self.convolutions[1].backward((first, second), rows, d_second, gradient);
        self.convolutions[1].toward_input(weights, (d_second, &mut tape.spread), rows, d_first);
        self.convolutions[0].backward((windows, first), rows, d_first, gradient);
    }

    /// (row, step, where its channels begin in a padded buffer) of a batch.
    fn places(&self, rows: usize) -> impl Iterator<Item = (usize, usize, usize)> + use<> {
        let (padded, channels, window) = (self.padded, self.shape.channels, self.shape.window);
        (0..rows).flat_map(move |row| (0..window).map(move |time| (row, time, (padded.start(row) + time) * channels)))
    }
}

impl CnnLstmTape {
    /// `[rows × outputs]` of the last forward pass.
    #[must_use]
    pub fn output(&self, rows: usize) -> &[f32] {
        &self.output[..rows * self.width]
    }

    /// To be written before a backward pass, `[rows × outputs]`.
    pub fn output_gradient(&mut self, rows: usize) -> &mut [f32] {
        &mut self.gradient[..rows * self.width]
    }
}

#[cfg(test)]
mod tests;
