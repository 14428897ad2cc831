//! A layer that learns in mixed precision: its products are of bfloat16, summed in f32.

use super::{Gate, GateBack, Lstm, LstmTape};
use crate::mixed::{DEPTH, MixedPanels, MixedProduct, PAIRS, Strips, pair_up, turned, words};
use crate::product::Begin;
use crate::vectors::Vectors;

/// Rows of a tape, at most: the samples that one tile of a gradient is deep.
pub(super) const ROWS_MAX: usize = DEPTH;

/// A layer's weights.
#[derive(Clone, Debug)]
pub(super) struct MixedLstm {
    /// Input, filled up to whole tiles, then state.
    gates: MixedPanels,
    toward_input: MixedPanels,
    toward_state: MixedPanels,
}

/// What products read, and the gradient of the weights.
#[derive(Clone, Debug)]
pub(super) struct MixedTape {
    /// `[time × rows]` of input, then state, in pairs; behind them room for a tile that begins with the last row.
    seen: Vec<u32>,
    /// The same of one step, `[rows × 4 × hidden]`: gradients of its gates.
    d_gates: Vec<u32>,
    /// `[time]` of what was seen as rows of a tile's depth of samples; and the gradients of gates as columns.
    across: Vec<u32>,
    d_across: MixedPanels,
    /// `[input and state × 4 × hidden]`.
    sums: Vec<f32>,
}

impl MixedTape {
    pub(super) fn new(layer: &Lstm, rows: usize) -> Self {
        assert!(rows <= ROWS_MAX, "at most {ROWS_MAX} rows at once");
        let wide = 4 * layer.hidden;
        let seen = words(layer.inputs) + words(layer.hidden);
        Self {
            seen: vec![0; (layer.time * rows + ROWS_MAX) * seen],
            d_gates: vec![0; ROWS_MAX * words(wide)],
            across: vec![0; layer.time * 2 * seen * PAIRS],
            d_across: MixedPanels::new(layer.time, wide),
            sums: vec![0.0; 2 * seen * wide],
        }
    }

    pub(super) fn values(&self) -> usize {
        let Self { seen, d_gates, across, d_across, sums } = self;
        seen.len() + d_gates.len() + across.len() + d_across.values() + sums.len()
    }
}

impl MixedLstm {
    pub(super) fn new(layer: &Lstm) -> Self {
        let (inputs, hidden) = (layer.inputs, layer.hidden);
        let deep = |width: usize| words(width) / PAIRS;
        Self {
            gates: MixedPanels::new(deep(inputs) + deep(hidden), 4 * hidden),
            toward_input: MixedPanels::new(deep(4 * hidden), inputs),
            toward_state: MixedPanels::new(deep(4 * hidden), hidden),
        }
    }

    pub(super) fn pack(&mut self, layer: &Lstm, into: &[f32], kept: &[f32]) {
        let (inputs, hidden) = (layer.inputs, layer.hidden);
        self.gates.pack(into, 0, (inputs, 4 * hidden), (1, inputs));
        self.gates.pack(kept, 2 * words(inputs), (hidden, 4 * hidden), (1, hidden));
        self.toward_input.pack(into, 0, (4 * hidden, inputs), (inputs, 1));
        self.toward_state.pack(kept, 0, (4 * hidden, hidden), (hidden, 1));
    }
}

impl Lstm {
    pub(super) fn forward_mixed(
        &self,
        vectors: Vectors,
        (weights, bias): (&MixedLstm, &[f32]),
        (input, rows): (&[f32], usize),
        tape: &mut LstmTape,
    ) {
        let Self { time, inputs, hidden, order, .. } = *self;
        let (wide, step) = (4 * hidden, rows * hidden);
        let LstmTape { gates, states, cells, squashed, zero, mixed, .. } = tape;
        let MixedTape { seen, .. } = mixed.as_mut().expect("a tape for learning in mixed precision");
        let (own, behind) = (words(inputs) + words(hidden), words(inputs));
        vectors.run(
            #[inline(always)]
            || {
                seen.chunks_exact_mut(own)
                    .zip(input.chunks_exact(inputs).take(time * rows))
                    .for_each(|(to, row)| pair_up(row, to))
            },
        );
        let (states, cells) = (&mut states[..time * step], &mut cells[..time * step]);
        for turn in 0..time {
            let at = order.step(turn, time);
            let (state, next_state) = order.neighbours(states, at, step, &zero[..step]);
            let (cell, next_cell) = order.neighbours(cells, at, step, &zero[..step]);
            let here = &mut seen[at * rows * own..(at + 1) * rows * own];
            vectors.run(
                #[inline(always)]
                || {
                    let rows = here.chunks_exact_mut(own).zip(state.chunks_exact(hidden));
                    rows.for_each(|(to, row)| pair_up(row, &mut to[behind..]));
                },
            );
            let strips = Strips { values: &seen[at * rows * own..], row: own, tile: PAIRS };
            let (gates, begin) = (&mut gates[at * rows * wide..(at + 1) * rows * wide], Begin::Bias(bias));
            MixedProduct { rows, strips, panels: &weights.gates, begin, target: gates }.run(vectors);
            let squashed = Some(&mut squashed[at * step..(at + 1) * step]);
            vectors.run(Gate { hidden, gates, cell, next_cell, next_state, squashed });
        }
    }

    /// Down to the input, and to the weights but for the biases.
    pub(super) fn backward_mixed(
        &self,
        vectors: Vectors,
        (weights, gradient): (&MixedLstm, &mut [f32]),
        (d_states, d_input): (&[f32], &mut [f32]),
        (rows, tape): (usize, &mut LstmTape),
    ) {
        let Self { time, inputs, hidden, order, .. } = *self;
        let (wide, step) = (4 * hidden, rows * hidden);
        let LstmTape { gates, cells, squashed, zero, d_state, d_cell, mixed, .. } = tape;
        let MixedTape { seen, d_gates, across, d_across, sums } =
            mixed.as_mut().expect("a tape for learning in mixed precision");
        let own = words(inputs) + words(hidden);
        let (d_state, d_cell) = (&mut d_state[..step], &mut d_cell[..step]);
        d_state.fill(0.0);
        d_cell.fill(0.0);
        for turn in (0..time).rev() {
            let at = order.step(turn, time);
            let (cell, _) = order.neighbours(&mut cells[..time * step], at, step, &zero[..step]);
            let gates = &mut gates[at * rows * wide..(at + 1) * rows * wide];
            let (arriving, squashed) = (&d_states[at * step..], &squashed[at * step..(at + 1) * step]);
            vectors.run(GateBack { hidden, gates, cell, squashed, arriving, d_state, d_cell });
            vectors.run(
                #[inline(always)]
                || {
                    let rows = d_gates.chunks_exact_mut(words(wide)).zip(gates.chunks_exact(wide));
                    rows.for_each(|(to, row)| pair_up(row, to));
                    d_across.take_rows(at, gates);
                },
            );
            let strips = Strips { values: d_gates, row: words(wide), tile: PAIRS };
            if turn > 0 {
                let (begin, target) = (Begin::Zero, &mut *d_state);
                MixedProduct { rows, strips, panels: &weights.toward_state, begin, target }.run(vectors);
            }
            let (begin, target) = (Begin::Target, &mut d_input[at * rows * inputs..(at + 1) * rows * inputs]);
            MixedProduct { rows, strips, panels: &weights.toward_input, begin, target }.run(vectors);
            let deep = &mut across[at * 2 * own * PAIRS..(at + 1) * 2 * own * PAIRS];
            vectors.run(
                #[inline(always)]
                || turned(&seen[at * rows * own..(at + 1) * rows * own], own, deep),
            );
        }
        let strips = Strips { values: across, row: PAIRS, tile: 2 * own * PAIRS };
        MixedProduct { rows: 2 * own, strips, panels: d_across, begin: Begin::Zero, target: sums }.run(vectors);
        let [into, kept] = [&self.weight_input, &self.weight_hidden].map(Clone::clone);
        add_turned(&sums[..inputs * wide], inputs, &mut gradient[into]);
        add_turned(&sums[2 * words(inputs) * wide..][..hidden * wide], hidden, &mut gradient[kept]);
    }
}

/// Adds rows to columns: `[rows × any]` to `[any × rows]`.
fn add_turned(values: &[f32], rows: usize, to: &mut [f32]) {
    let columns = values.len() / rows;
    // Blocks whose lines stay in the first cache.
    const SIDE: usize = 16;
    for first in (0..rows).step_by(SIDE) {
        let count = SIDE.min(rows - first);
        for (column, line) in to.chunks_exact_mut(rows).enumerate() {
            let line = &mut line[first..first + count];
            line.iter_mut().enumerate().for_each(|(row, sum)| *sum += values[(first + row) * columns + column]);
        }
    }
}
