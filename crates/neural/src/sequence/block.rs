//! A convolution over time that keeps the window's length, dilated or not, with normalisation, ReLU and a way past them.
//!
//! Time runs outermost, so what a tap of the kernel reads is the whole input moved by some steps: a convolution is one
//! product over as many parts as there are taps, and no input is copied. Taps beyond the window's ends read zeros, which
//! are left out.

use std::ops::Range;

use crate::elementary::add_rows;
use crate::linear::{Linear, LinearPanels};
use crate::matrix::{Matrix, Target, multiply};
use crate::product::{Begin, Panels, Part, Product};
use crate::sequence::normalise::{Norm, NormTape, Normalisation};
use crate::vectors::Vectors;
use crate::{Draw, Layout, Offsets};

/// Widest kernel, steps.
pub(crate) const KERNEL_MAX: usize = 63;

/// What leads past a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shortcut {
    /// Nothing.
    Off,
    /// Its input is added to its output (He et al. 2016), through a matrix where their widths differ.
    Residual,
}

/// Conv1d → normalisation → ReLU, beside a shortcut.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Block {
    time: usize,
    inputs: usize,
    outputs: usize,
    kernel: usize,
    dilation: usize,
    /// `[kernel, outputs, inputs]`.
    weight: Range<usize>,
    bias: Range<usize>,
    norm: Option<Norm>,
    shortcut: Option<Way>,
}

#[derive(Clone, Debug, PartialEq)]
enum Way {
    Identity,
    Matrix(Linear),
}

/// Its weights in the order of the kernels.
#[derive(Clone, Debug)]
pub(crate) struct BlockPanels {
    forward: Panels,
    backward: Panels,
    bias: Vec<f32>,
    shortcut: Option<LinearPanels>,
}

/// Activations of some rows, `[time × rows × outputs]` each.
#[derive(Clone, Debug)]
pub(crate) struct BlockTape {
    pub(crate) output: Vec<f32>,
    /// After the ReLU, before the shortcut; empty where there is none.
    active: Vec<f32>,
    norm: Option<NormTape>,
    /// Of the rows, where each begins its sums with one.
    pub(crate) offsets: Offsets,
}

impl BlockTape {
    pub(crate) fn values(&self) -> usize {
        self.output.len() + self.active.len() + self.norm.as_ref().map_or(0, NormTape::values) + self.offsets.len()
    }
}

/// Sizes of a block.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BlockShape {
    pub(crate) time: usize,
    pub(crate) inputs: usize,
    pub(crate) outputs: usize,
    pub(crate) kernel: usize,
    pub(crate) dilation: usize,
    pub(crate) normalisation: Normalisation,
    pub(crate) shortcut: Shortcut,
}

impl Block {
    pub(crate) fn new(layout: &mut Layout, name: &str, shape: BlockShape) -> Self {
        let BlockShape { time, inputs, outputs, kernel, dilation, .. } = shape;
        let draw = Draw::Uniform(1.0 / ((kernel * inputs) as f32).sqrt());
        let weight = layout.add(format!("{name}.weight"), &[kernel, outputs, inputs], draw);
        let bias = layout.add(format!("{name}.bias"), &[outputs], draw);
        let norm = Norm::new(layout, &format!("{name}.norm"), (time, outputs), shape.normalisation);
        let shortcut = match shape.shortcut {
            Shortcut::Off => None,
            Shortcut::Residual if inputs == outputs => Some(Way::Identity),
            Shortcut::Residual => {
                Some(Way::Matrix(Linear::new(layout, &format!("{name}.shortcut"), (inputs, outputs))))
            }
        };
        Self { time, inputs, outputs, kernel, dilation, weight, bias, norm, shortcut }
    }

    pub(crate) const fn multiply_adds(&self) -> u64 {
        let shortcut = match &self.shortcut {
            Some(Way::Matrix(linear)) => linear.multiply_adds(),
            Some(Way::Identity) | None => 0,
        };
        self.time as u64 * ((self.kernel * self.inputs * self.outputs) as u64 + shortcut)
    }

    pub(crate) fn tape(&self, rows: usize) -> BlockTape {
        let values = || vec![0.0; self.time * rows * self.outputs];
        let active = if self.shortcut.is_some() { values() } else { Vec::new() };
        let (norm, offsets) = (self.norm.as_ref().map(|norm| norm.tape(rows)), Offsets::default());
        BlockTape { output: values(), active, norm, offsets }
    }

    /// Room for an offset of each of up to `rows` rows.
    pub(crate) fn offsets(&self, rows: usize) -> Offsets {
        Offsets::new(rows, self.outputs)
    }

    /// Where its bias lies in the flat buffer.
    pub(crate) fn bias(&self) -> Range<usize> {
        self.bias.clone()
    }

    pub(crate) fn panels(&self) -> BlockPanels {
        let Self { inputs, outputs, kernel, .. } = *self;
        let shortcut = match &self.shortcut {
            Some(Way::Matrix(linear)) => Some(linear.panels()),
            Some(Way::Identity) | None => None,
        };
        BlockPanels {
            forward: Panels::new(kernel * inputs, outputs),
            backward: Panels::new(kernel * outputs, inputs),
            bias: vec![0.0; outputs],
            shortcut,
        }
    }

    pub(crate) fn pack(&self, weights: &[f32], panels: &mut BlockPanels) {
        let Self { inputs, outputs, .. } = *self;
        for (tap, weight) in weights[self.weight.clone()].chunks_exact(outputs * inputs).enumerate() {
            panels.forward.pack(weight, (tap * inputs, 0), (inputs, outputs), (1, inputs));
            panels.backward.pack(weight, (tap * outputs, 0), (outputs, inputs), (inputs, 1));
        }
        panels.bias.copy_from_slice(&weights[self.bias.clone()]);
        if let (Some(Way::Matrix(linear)), Some(panels)) = (&self.shortcut, &mut panels.shortcut) {
            linear.pack(weights, panels);
        }
    }

    /// Steps that tap `tap` reads ahead of its own.
    const fn ahead(&self, tap: usize) -> isize {
        (tap as isize - (self.kernel / 2) as isize) * self.dilation as isize
    }

    /// One product for each run of steps whose taps `toward` steps away, times `sign`, lie inside the window.
    fn convolve(
        &self,
        vectors: Vectors,
        (values, width, sign): (&[f32], usize, isize),
        (panels, begin): (&Panels, Begin<'_>),
        (rows, target): (usize, &mut [f32]),
    ) {
        let inside =
            |step: usize, tap: usize| step.checked_add_signed(sign * self.ahead(tap)).filter(|from| *from < self.time);
        let same =
            |a: usize, b: usize| (0..self.kernel).all(|tap| inside(a, tap).is_some() == inside(b, tap).is_some());
        let outputs = target.len() / (self.time * rows);
        let mut step = 0;
        while step < self.time {
            let end = (step..self.time).find(|other| !same(step, *other)).unwrap_or(self.time);
            let mut parts = [Part::new(&[], 0, 0); KERNEL_MAX];
            let mut count = 0;
            for tap in 0..self.kernel {
                if let Some(from) = inside(step, tap) {
                    parts[count] = Part::new(&values[from * rows * width..], width, tap * width);
                    count += 1;
                }
            }
            let target = &mut target[step * rows * outputs..end * rows * outputs];
            let rows = (end - step) * rows;
            vectors.run(Product { rows, parts: &parts[..count], panels, begin, target });
            step = end;
        }
    }

    /// # Shapes
    /// `input`: `[time × rows × inputs]`; the result is `tape.output`.
    pub(crate) fn forward(
        &self,
        vectors: Vectors,
        (weights, panels): (&[f32], &BlockPanels),
        (input, rows): (&[f32], usize),
        tape: &mut BlockTape,
    ) {
        let BlockTape { output, active, norm, offsets } = tape;
        let count = self.time * rows;
        let output = &mut output[..count * self.outputs];
        let activated = if self.shortcut.is_some() { &mut active[..count * self.outputs] } else { &mut *output };
        let begin = if offsets.is_empty() {
            Begin::Bias(&panels.bias)
        } else {
            offsets.begin(&panels.bias, rows, activated);
            Begin::Target
        };
        self.convolve(vectors, (input, self.inputs, 1), (&panels.forward, begin), (rows, activated));
        if let (Some(layer), Some(tape)) = (&self.norm, norm) {
            layer.forward(weights, rows, activated, tape);
        }
        vectors.run(
            #[inline(always)]
            || activated.iter_mut().for_each(|value| *value = value.max(0.0)),
        );
        match (&self.shortcut, &panels.shortcut) {
            (Some(Way::Matrix(linear)), Some(panels)) => linear.forward(vectors, panels, (input, count), output),
            (Some(_), _) => output.copy_from_slice(&input[..count * self.inputs]),
            (None, _) => return,
        }
        vectors.run(
            #[inline(always)]
            || output.iter_mut().zip(&*active).for_each(|(sum, value)| *sum += value),
        );
    }

    /// Goes back through the last forward pass; `d_output` is used up. `d_input` is overwritten, where it is wanted.
    pub(crate) fn backward(
        &self,
        vectors: Vectors,
        (weights, panels, gradient): (&[f32], &BlockPanels, &mut [f32]),
        (input, d_output, mut d_input): (&[f32], &mut [f32], Option<&mut [f32]>),
        (rows, tape): (usize, &mut BlockTape),
    ) {
        let Self { time, inputs, outputs, .. } = *self;
        let count = time * rows;
        let d_output = &mut d_output[..count * outputs];
        if let Some(d_input) = &mut d_input {
            d_input[..count * inputs].fill(0.0);
        }
        match (&self.shortcut, &panels.shortcut, &mut d_input) {
            (Some(Way::Matrix(linear)), Some(panels), Some(d_input)) => {
                linear.back(vectors, panels, (d_output, count), d_input);
            }
            (Some(Way::Identity), _, Some(d_input)) => d_input[..count * inputs].copy_from_slice(d_output),
            (Some(_) | None, _, _) => {}
        }
        if let Some(Way::Matrix(linear)) = &self.shortcut {
            linear.learn((input, d_output), count, gradient);
        }
        let activated = if self.shortcut.is_some() { &tape.active } else { &tape.output };
        vectors.run(
            #[inline(always)]
            || d_output.iter_mut().zip(activated).for_each(|(d, y)| *d = if *y > 0.0 { *d } else { 0.0 }),
        );
        if let (Some(layer), Some(tape)) = (&self.norm, &tape.norm) {
            layer.backward((weights, gradient), rows, d_output, tape);
        }
        for tap in 0..self.kernel {
            let ahead = self.ahead(tap);
            let steps = time.saturating_sub(ahead.unsigned_abs());
            // Output step s has read input step s + ahead.
            let (own, read) = if ahead < 0 { (ahead.unsigned_abs(), 0) } else { (0, ahead.unsigned_abs()) };
            if steps > 0 {
                let weight = self.weight.start + tap * outputs * inputs;
                multiply(
                    Matrix::new(&d_output[own * rows * outputs..], steps * rows, outputs).transposed(),
                    Matrix::new(&input[read * rows * inputs..], steps * rows, inputs),
                    Target::add(&mut gradient[weight..weight + outputs * inputs], inputs),
                );
            }
        }
        add_rows(d_output, &mut gradient[self.bias.clone()]);
        if !tape.offsets.is_empty() {
            tape.offsets.gather(rows, d_output);
        }
        if let Some(d_input) = d_input {
            let target = (rows, &mut d_input[..count * inputs]);
            self.convolve(vectors, (d_output, outputs, -1), (&panels.backward, Begin::Target), target);
        }
    }
}
