//! Long short-term memory (Hochreiter and Schmidhuber 1997, with forget gates), from a zero state over a window.
//!
//! Time runs outermost (`[time × rows × …]`). All four gates of a step are one product over input and state, and what the
//! gates do is one pass while they are in the cache. Gates in the order input, forget, cell, output.

mod mixed;

use std::ops::Range;

use pulp::{Simd, WithSimd};

use crate::elementary::add_rows;
use crate::matrix::{Matrix, Target, multiply};
use crate::product::{Begin, Panels, Part, Product, ROWS_MAX, blocks};
use crate::sequence::{Precision, Purpose};
use crate::vectors::{Vectors, load, sigmoid, store, tanh};
use crate::{Draw, Layout};
use mixed::{MixedLstm, MixedTape};

/// Fewer rows cannot pay for reading the weights of their input at each step.
const WHOLE_STEPS: usize = 8;

/// Which end of the window comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    Forward,
    Backward,
}

impl Order {
    /// The step that is computed `turn`-th.
    const fn step(self, turn: usize, time: usize) -> usize {
        match self {
            Self::Forward => turn,
            Self::Backward => time - 1 - turn,
        }
    }

    /// What stands at the step computed before `at`, and what is written at `at`; `step` values each.
    fn neighbours<'a>(
        self,
        values: &'a mut [f32],
        at: usize,
        step: usize,
        zero: &'a [f32],
    ) -> (&'a [f32], &'a mut [f32]) {
        match self {
            Self::Forward => {
                let (before, after) = values.split_at_mut(at * step);
                (before.len().checked_sub(step).map_or(zero, |from| &before[from..]), &mut after[..step])
            }
            Self::Backward => {
                let (before, after) = values.split_at_mut((at + 1) * step);
                (if after.len() < step { zero } else { &after[..step] }, &mut before[at * step..])
            }
        }
    }
}

/// What the turn before `turn` left and where this one writes, in room for two turns.
fn by_turns<'a>(values: &'a mut [f32], turn: usize, zero: &'a [f32]) -> (&'a [f32], &'a mut [f32]) {
    let (even, odd) = values.split_at_mut(zero.len());
    let (next, last) = if turn.is_multiple_of(2) { (even, odd) } else { (odd, even) };
    (if turn == 0 { zero } else { last }, next)
}

/// One layer in one direction.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Lstm {
    time: usize,
    inputs: usize,
    hidden: usize,
    order: Order,
    /// Of learning.
    precision: Precision,
    /// `[4 × hidden, inputs]`.
    weight_input: Range<usize>,
    /// `[4 × hidden, hidden]`.
    weight_hidden: Range<usize>,
    /// Two that are added, as other libraries have it.
    biases: [Range<usize>; 2],
}

/// Its weights in the order of the kernels.
#[derive(Clone, Debug)]
pub(crate) struct LstmPanels {
    weights: Weights,
    bias: Vec<f32>,
}

#[derive(Clone, Debug)]
enum Weights {
    Single {
        /// Input, then state.
        gates: Panels,
        toward_input: Panels,
        toward_state: Panels,
    },
    Mixed(MixedLstm),
}

/// States of some rows.
#[derive(Clone, Debug)]
pub(crate) struct LstmTape {
    purpose: Purpose,
    /// `[time × rows × 4 × hidden]`, activated; after a backward pass, the gradients before activation.
    gates: Vec<f32>,
    /// `[time × rows × hidden]` each.
    pub(crate) states: Vec<f32>,
    /// Of two steps where only an answer is wanted.
    cells: Vec<f32>,
    /// tanh of the cells.
    squashed: Vec<f32>,
    /// `[rows × hidden]` each: what a window begins with, and what flows back.
    zero: Vec<f32>,
    d_state: Vec<f32>,
    d_cell: Vec<f32>,
    /// Of learning in mixed precision.
    mixed: Option<MixedTape>,
}

impl LstmTape {
    pub(crate) fn values(&self) -> usize {
        let Self { purpose: _, gates, states, cells, squashed, zero, d_state, d_cell, mixed } = self;
        [gates, states, cells, squashed, zero, d_state, d_cell].map(Vec::len).iter().sum::<usize>()
            + mixed.as_ref().map_or(0, MixedTape::values)
    }
}

impl Lstm {
    pub(crate) fn new(
        layout: &mut Layout,
        name: &str,
        (time, inputs, hidden): (usize, usize, usize),
        order: Order,
    ) -> Self {
        let draw = Draw::Uniform(1.0 / (hidden as f32).sqrt());
        let mut add = |part: &str, shape: &[usize]| layout.add(format!("{name}.{part}"), shape, draw);
        Self {
            time,
            inputs,
            hidden,
            order,
            precision: Precision::Single,
            weight_input: add("weight_input", &[4 * hidden, inputs]),
            weight_hidden: add("weight_hidden", &[4 * hidden, hidden]),
            biases: [add("bias_input", &[4 * hidden]), add("bias_hidden", &[4 * hidden])],
        }
    }

    pub(crate) fn learning_in(self, precision: Precision) -> Self {
        Self { precision, ..self }
    }

    pub(crate) const fn multiply_adds(&self) -> u64 {
        (self.time * 4 * self.hidden * (self.inputs + self.hidden)) as u64
    }

    pub(crate) fn tape(&self, rows: usize, purpose: Purpose) -> LstmTape {
        let Self { time, hidden, .. } = *self;
        let states = || vec![0.0; time * rows * hidden];
        let row = || vec![0.0; rows * hidden];
        let (cells, squashed, d_state, d_cell) = match purpose {
            Purpose::Learning | Purpose::Explaining => (states(), states(), row(), row()),
            Purpose::Asking => (vec![0.0; 2 * rows * hidden], Vec::new(), Vec::new(), Vec::new()),
        };
        let gates = vec![0.0; time * rows * 4 * hidden];
        let mixed = match (purpose, self.precision) {
            (Purpose::Learning, Precision::Mixed) => Some(MixedTape::new(self, rows)),
            (Purpose::Learning, Precision::Single) | (Purpose::Explaining | Purpose::Asking, _) => None,
        };
        LstmTape { purpose, gates, states: states(), cells, squashed, zero: row(), d_state, d_cell, mixed }
    }

    pub(crate) fn panels(&self) -> LstmPanels {
        let Self { inputs, hidden, .. } = *self;
        let weights = match self.precision {
            Precision::Single => Weights::Single {
                gates: Panels::new(inputs + hidden, 4 * hidden),
                toward_input: Panels::new(4 * hidden, inputs),
                toward_state: Panels::new(4 * hidden, hidden),
            },
            Precision::Mixed => Weights::Mixed(MixedLstm::new(self)),
        };
        LstmPanels { weights, bias: vec![0.0; 4 * hidden] }
    }

    pub(crate) fn pack(&self, weights: &[f32], panels: &mut LstmPanels) {
        let Self { inputs, hidden, .. } = *self;
        let (into, kept) = (&weights[self.weight_input.clone()], &weights[self.weight_hidden.clone()]);
        match &mut panels.weights {
            Weights::Single { gates, toward_input, toward_state } => {
                gates.pack(into, (0, 0), (inputs, 4 * hidden), (1, inputs));
                gates.pack(kept, (inputs, 0), (hidden, 4 * hidden), (1, hidden));
                toward_input.pack(into, (0, 0), (4 * hidden, inputs), (inputs, 1));
                toward_state.pack(kept, (0, 0), (4 * hidden, hidden), (hidden, 1));
            }
            Weights::Mixed(panels) => panels.pack(self, into, kept),
        }
        let biases = self.biases.clone().map(|bias| &weights[bias]);
        panels.bias.iter_mut().zip(biases[0].iter().zip(biases[1])).for_each(|(sum, (a, b))| *sum = a + b);
    }

    /// # Shapes
    /// `input`: `[time × rows × inputs]`; the result is `tape.states`.
    pub(crate) fn forward(
        &self,
        vectors: Vectors,
        panels: &LstmPanels,
        (input, rows): (&[f32], usize),
        tape: &mut LstmTape,
    ) {
        let Self { time, inputs, hidden, order, .. } = *self;
        let (wide, step) = (4 * hidden, rows * hidden);
        let whole_steps = rows >= WHOLE_STEPS;
        let gate_panels = match &panels.weights {
            Weights::Single { gates, .. } => gates,
            Weights::Mixed(weights) => {
                return self.forward_mixed(vectors, (weights, &panels.bias), (input, rows), tape);
            }
        };
        let LstmTape { purpose, gates, states, cells, squashed, zero, .. } = tape;
        let states = &mut states[..time * step];
        if !whole_steps {
            // Read once for all steps.
            let (parts, begin) = ([Part::new(input, inputs, 0)], Begin::Bias(&panels.bias));
            vectors.run(Product { rows: time * rows, parts: &parts, panels: gate_panels, begin, target: gates });
        }
        for turn in 0..time {
            let at = order.step(turn, time);
            let (state, next_state) = order.neighbours(states, at, step, &zero[..step]);
            let (cell, next_cell) = match purpose {
                Purpose::Asking => by_turns(&mut cells[..2 * step], turn, &zero[..step]),
                Purpose::Learning | Purpose::Explaining => {
                    order.neighbours(&mut cells[..time * step], at, step, &zero[..step])
                }
            };
            for block in blocks(rows, ROWS_MAX) {
                let (first, count) = (block.start, block.len());
                let here = first * hidden..block.end * hidden;
                // What is only asked for needs no gates of steps gone by.
                let slot = if whole_steps && *purpose == Purpose::Asking { first } else { at * rows + first };
                let gates = &mut gates[slot * wide..(slot + count) * wide];
                let seen = Part::new(&input[(at * rows + first) * inputs..], inputs, 0);
                let carried = Part::new(&state[here.clone()], hidden, inputs);
                let both = [seen, carried];
                // The state that a window begins with is zero.
                let (until, begin) = if whole_steps { (0, Begin::Bias(&panels.bias)) } else { (1, Begin::Target) };
                let parts = &both[until..if turn == 0 { 1 } else { 2 }];
                vectors.run(Product { rows: count, parts, panels: gate_panels, begin, target: gates });
                let squashed = match purpose {
                    Purpose::Learning | Purpose::Explaining => Some(&mut squashed[at * step..][here.clone()]),
                    Purpose::Asking => None,
                };
                let cell = &cell[here.clone()];
                let (next_cell, next_state) = (&mut next_cell[here.clone()], &mut next_state[here]);
                vectors.run(Gate { hidden, gates, cell, next_cell, next_state, squashed });
            }
        }
    }

    /// Goes back through the last forward pass.
    ///
    /// # Shapes
    /// `d_states`: `[time × rows × hidden]`; `d_input`: `[time × rows × inputs]`, added to.
    pub(crate) fn backward(
        &self,
        vectors: Vectors,
        (panels, gradient): (&LstmPanels, &mut [f32]),
        (input, d_states, d_input): (&[f32], &[f32], &mut [f32]),
        (rows, tape): (usize, &mut LstmTape),
    ) {
        let Self { time, inputs, hidden, order, .. } = *self;
        let (wide, step) = (4 * hidden, rows * hidden);
        let (toward_input, toward_state) = match &panels.weights {
            Weights::Single { toward_input, toward_state, .. } => (toward_input, toward_state),
            Weights::Mixed(weights) => {
                self.backward_mixed(vectors, (weights, &mut *gradient), (d_states, d_input), (rows, tape));
                return self.learn_biases(&tape.gates[..time * rows * wide], gradient);
            }
        };
        let LstmTape { gates, cells, squashed, zero, d_state, d_cell, states, .. } = tape;
        let (d_state, d_cell) = (&mut d_state[..step], &mut d_cell[..step]);
        d_state.fill(0.0);
        d_cell.fill(0.0);
        for turn in (0..time).rev() {
            let at = order.step(turn, time);
            let (cell, _) = order.neighbours(&mut cells[..time * step], at, step, &zero[..step]);
            let gates = &mut gates[at * rows * wide..(at + 1) * rows * wide];
            let (arriving, squashed) = (&d_states[at * step..], &squashed[at * step..(at + 1) * step]);
            vectors.run(GateBack { hidden, gates, cell, squashed, arriving, d_state, d_cell });
            let parts = [Part::new(gates, wide, 0)];
            let parts = &parts;
            if turn > 0 {
                let (begin, target) = (Begin::Zero, &mut *d_state);
                vectors.run(Product { rows, parts, panels: toward_state, begin, target });
            }
            let target = &mut d_input[at * rows * inputs..(at + 1) * rows * inputs];
            vectors.run(Product { rows, parts, panels: toward_input, begin: Begin::Target, target });
        }
        let gates = &gates[..time * rows * wide];
        let d_gates = |from: usize, count: usize| {
            Matrix::new(&gates[from * rows * wide..(from + count) * rows * wide], count * rows, wide).transposed()
        };
        let seen = Matrix::new(input, time * rows, inputs);
        multiply(d_gates(0, time), seen, Target::add(&mut gradient[self.weight_input.clone()], inputs));
        // The first step began with zeros.
        let (later, earlier) = match order {
            Order::Forward => (1, 0),
            Order::Backward => (0, 1),
        };
        let carried = Matrix::new(&states[earlier * step..], (time - 1) * rows, hidden);
        multiply(d_gates(later, time - 1), carried, Target::add(&mut gradient[self.weight_hidden.clone()], hidden));
        self.learn_biases(gates, gradient);
    }

    /// From the gradients of all gates before activation. Both biases have the same.
    fn learn_biases(&self, d_gates: &[f32], gradient: &mut [f32]) {
        let [first, second] = self.biases.clone();
        let (low, high) = gradient.split_at_mut(second.start);
        add_rows(d_gates, &mut low[first.clone()]);
        high[..4 * self.hidden].copy_from_slice(&low[first]);
    }
}

/// From gates before activation and cells to the next cells and states.
struct Gate<'a> {
    hidden: usize,
    /// `[rows × 4 × hidden]`; activated where `squashed` is kept, too.
    gates: &'a mut [f32],
    cell: &'a [f32],
    next_cell: &'a mut [f32],
    next_state: &'a mut [f32],
    squashed: Option<&'a mut [f32]>,
}

impl WithSimd for Gate<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        for row in 0..self.cell.len() / self.hidden {
            let whole = self.hidden - self.hidden % S::F32_LANES;
            // One after the other: gates of more units fit the processor's queues while none waits for its cell.
            for unit in (0..whole).step_by(S::F32_LANES) {
                self.next_cells(simd, row, unit, S::F32_LANES);
            }
            for unit in (0..whole).step_by(S::F32_LANES) {
                self.next_states(simd, row, unit, S::F32_LANES);
            }
            if whole < self.hidden {
                self.next_cells(simd, row, whole, self.hidden - whole);
                self.next_states(simd, row, whole, self.hidden - whole);
            }
        }
    }
}

impl Gate<'_> {
    /// Leaves those gates activated that are needed once more.
    #[inline(always)]
    fn next_cells<S: Simd>(&mut self, simd: S, row: usize, unit: usize, count: usize) {
        let (hidden, at) = (self.hidden, row * self.hidden + unit);
        let place = |gate: usize| (4 * row + gate) * hidden + unit;
        let gate = |gate: usize| load(simd, self.gates, place(gate), count);
        let (input, forget) = (sigmoid(simd, gate(0)), sigmoid(simd, gate(1)));
        let (new, output) = (tanh(simd, gate(2)), sigmoid(simd, gate(3)));
        let kept = simd.mul_f32s(forget, load(simd, self.cell, at, count));
        store(simd, simd.mul_add_f32s(input, new, kept), self.next_cell, at, count);
        store(simd, output, self.gates, place(3), count);
        if self.squashed.is_some() {
            for (index, value) in [input, forget, new].into_iter().enumerate() {
                store(simd, value, self.gates, place(index), count);
            }
        }
    }

    #[inline(always)]
    fn next_states<S: Simd>(&mut self, simd: S, row: usize, unit: usize, count: usize) {
        let (hidden, at) = (self.hidden, row * self.hidden + unit);
        let output = load(simd, self.gates, (4 * row + 3) * hidden + unit, count);
        let squashed = tanh(simd, load(simd, self.next_cell, at, count));
        store(simd, simd.mul_f32s(output, squashed), self.next_state, at, count);
        if let Some(kept) = &mut self.squashed {
            store(simd, squashed, kept, at, count);
        }
    }
}

/// From the gradients of a step's state and cell to those of its gates before activation, and of the cell before.
struct GateBack<'a> {
    hidden: usize,
    gates: &'a mut [f32],
    cell: &'a [f32],
    squashed: &'a [f32],
    /// What comes from above, beside `d_state` from the step after.
    arriving: &'a [f32],
    d_state: &'a [f32],
    d_cell: &'a mut [f32],
}

impl WithSimd for GateBack<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        for row in 0..self.cell.len() / self.hidden {
            let whole = self.hidden - self.hidden % S::F32_LANES;
            for unit in (0..whole).step_by(S::F32_LANES) {
                self.lanes(simd, row, unit, S::F32_LANES);
            }
            if whole < self.hidden {
                self.lanes(simd, row, whole, self.hidden - whole);
            }
        }
    }
}

impl GateBack<'_> {
    #[inline(always)]
    fn lanes<S: Simd>(&mut self, simd: S, row: usize, unit: usize, count: usize) {
        let (hidden, at) = (self.hidden, row * self.hidden + unit);
        let place = |gate: usize| (4 * row + gate) * hidden + unit;
        let gate = |gate: usize| load(simd, self.gates, place(gate), count);
        let [input, forget, new, output] = [gate(0), gate(1), gate(2), gate(3)];
        let of = |values: &[f32]| load(simd, values, at, count);
        let (cell, squashed, d_cell) = (of(self.cell), of(self.squashed), of(self.d_cell));
        let d_state = simd.add_f32s(of(self.arriving), of(self.d_state));
        let mul = |a, b| simd.mul_f32s(a, b);
        let one = simd.splat_f32s(1.0);
        // y·(1 − y) of a sigmoid, 1 − y² of a tanh.
        let sloped = |y| mul(y, simd.sub_f32s(one, y));
        let flat = |y| simd.sub_f32s(one, mul(y, y));
        let through = simd.mul_add_f32s(mul(d_state, output), flat(squashed), d_cell);
        let d_gates = [
            mul(mul(through, new), sloped(input)),
            mul(mul(through, cell), sloped(forget)),
            mul(mul(through, input), flat(new)),
            mul(mul(d_state, squashed), sloped(output)),
        ];
        store(simd, mul(through, forget), self.d_cell, at, count);
        for (index, value) in d_gates.into_iter().enumerate() {
            store(simd, value, self.gates, place(index), count);
        }
    }
}
