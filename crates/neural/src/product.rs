//! Matrix products in one fixed order of operations, so that bits depend on the operands alone.
//!
//! A library picks kernel, blocking and order of sums by the shapes and the CPU; a row then rounds differently in another
//! batch or on another machine. Here an output is one chain of fused multiply-adds over its inputs, first to last,
//! beginning with its bias: however many rows are computed at once, and however wide the vectors are. Weights are brought
//! into panels once a step, so nothing is reordered during a product, which makes it faster than `gemm` at the shapes of a
//! recurrent layer.

use pulp::{Simd, WithSimd};

/// Values that are computed side by side: two registers of AVX-512, four of AVX2.
pub(crate) const LANES: usize = 32;

/// Two lines of the cache, so that no register is loaded from parts of two.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
pub(crate) struct Lanes(pub(crate) [f32; LANES]);

impl Lanes {
    pub(crate) const ZERO: Self = Self([0.0; LANES]);
}

/// A matrix `[inner × outputs]` in panels of outputs: `[outputs / 32][inner][32]`, the last filled up with zeros.
#[derive(Clone, Debug)]
pub(crate) struct Panels {
    values: Vec<Lanes>,
    inner: usize,
    outputs: usize,
}

impl Panels {
    pub(crate) fn new(inner: usize, outputs: usize) -> Self {
        Self { values: vec![Lanes::ZERO; inner * outputs.div_ceil(LANES)], inner, outputs }
    }

    /// Copies a block whose first element goes to (`inner`, `output`); `at(i, o)` is where to read it in `from`.
    pub(crate) fn pack(
        &mut self,
        from: &[f32],
        (inner, output): (usize, usize),
        (rows, columns): (usize, usize),
        (row_stride, column_stride): (usize, usize),
    ) {
        for column in 0..columns {
            let (panel, lane) = ((output + column) / LANES, (output + column) % LANES);
            let panel = &mut self.values[panel * self.inner..(panel + 1) * self.inner];
            for row in 0..rows {
                panel[inner + row].0[lane] = from[row * row_stride + column * column_stride];
            }
        }
    }
}

/// Rows that a product reads: `width` values each, beginning `stride` after the one before, against the panels' inner
/// rows from `inner` on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Part<'a> {
    pub(crate) values: &'a [f32],
    pub(crate) width: usize,
    pub(crate) stride: usize,
    pub(crate) inner: usize,
}

impl<'a> Part<'a> {
    /// Rows without gaps against the panels' inner rows from `inner` on.
    pub(crate) const fn new(values: &'a [f32], width: usize, inner: usize) -> Self {
        Self { values, width, stride: width, inner }
    }

    fn row(&self, index: usize) -> &'a [f32] {
        &self.values[index * self.stride..index * self.stride + self.width]
    }
}

/// What a chain of sums begins with.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Begin<'a> {
    Zero,
    Bias(&'a [f32]),
    /// What stands in the target.
    Target,
}

/// Rows times a matrix in panels.
#[derive(Debug)]
pub(crate) struct Product<'a> {
    pub(crate) rows: usize,
    /// In the order of the sums; at most [`PARTS_MAX`].
    pub(crate) parts: &'a [Part<'a>],
    pub(crate) panels: &'a Panels,
    pub(crate) begin: Begin<'a>,
    /// `[rows × outputs]`.
    pub(crate) target: &'a mut [f32],
}

impl WithSimd for Product<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { rows, parts, panels, begin, target } = self;
        let mut row = 0;
        // Registers: 8 × 2 sums of 32, or 6 × 2 of 16.
        let most = if S::F32_LANES >= 16 { 8 } else { 6 };
        while row < rows {
            let count = most.min(rows - row);
            let target = &mut target[row * panels.outputs..(row + count) * panels.outputs];
            match count {
                8 => some_rows::<S, 8>(simd, (row, 0), parts, (panels, begin), target),
                7 => some_rows::<S, 7>(simd, (row, 0), parts, (panels, begin), target),
                6 => some_rows::<S, 6>(simd, (row, 0), parts, (panels, begin), target),
                5 => some_rows::<S, 5>(simd, (row, 0), parts, (panels, begin), target),
                4 => some_rows::<S, 4>(simd, (row, 0), parts, (panels, begin), target),
                3 => few_rows::<S, 3, 2>(simd, row, parts, (panels, begin), target),
                2 => few_rows::<S, 2, 2>(simd, row, parts, (panels, begin), target),
                _ => few_rows::<S, 1, 4>(simd, row, parts, (panels, begin), target),
            }
            row += count;
        }
    }
}

/// `H` registers of sums for each of `R` rows.
pub(crate) type Sums<S, const R: usize, const H: usize> = [[<S as Simd>::f32s; H]; R];

/// `R` rows against the panels from `behind` on.
#[inline(always)]
fn some_rows<S: Simd, const R: usize>(
    simd: S,
    (first, behind): (usize, usize),
    parts: &[Part<'_>],
    (panels, begin): (&Panels, Begin<'_>),
    target: &mut [f32],
) {
    let width = 2 * S::F32_LANES;
    let outputs = panels.outputs;
    for (index, panel) in panels.values.chunks_exact(panels.inner).enumerate().skip(behind) {
        for lane in (0..LANES).step_by(width) {
            let from = index * LANES + lane;
            if from >= outputs {
                break;
            }
            let count = width.min(outputs - from);
            let mut sums: Sums<S, R, 2> = [[simd.splat_f32s(0.0); 2]; R];
            match begin {
                Begin::Zero => {}
                Begin::Bias(bias) => sums = [read(simd, &bias[from..from + count]); R],
                Begin::Target => {
                    for (row, sums) in sums.iter_mut().enumerate() {
                        *sums = read(simd, &target[row * outputs + from..][..count]);
                    }
                }
            }
            for part in parts {
                let rows: [&[f32]; R] = std::array::from_fn(|row| part.row(first + row));
                let panel = &panel[part.inner..part.inner + part.width];
                chain(simd, rows, (panel, lane), &mut sums);
            }
            for (row, sums) in sums.iter().enumerate() {
                write::<S, 2>(sums, &mut target[row * outputs + from..][..count]);
            }
        }
    }
}

/// Few rows against all panels, `P` at once: a multiply-add takes four cycles and two can begin in each, so less than eight
/// chains side by side leave the processor waiting.
#[inline(always)]
fn few_rows<S: Simd, const R: usize, const P: usize>(
    simd: S,
    first: usize,
    parts: &[Part<'_>],
    (panels, begin): (&Panels, Begin<'_>),
    target: &mut [f32],
) {
    let (outputs, inner) = (panels.outputs, panels.inner);
    let whole = outputs / LANES / P * P;
    for index in (0..whole).step_by(P) {
        for lane in (0..LANES).step_by(2 * S::F32_LANES) {
            let from = |panel: usize| (index + panel) * LANES + lane;
            let mut sums: [Sums<S, R, 2>; P] = [[[simd.splat_f32s(0.0); 2]; R]; P];
            for (panel, sums) in sums.iter_mut().enumerate() {
                match begin {
                    Begin::Zero => {}
                    Begin::Bias(bias) => *sums = [exactly::<S, 2>(&bias[from(panel)..][..2 * S::F32_LANES]); R],
                    Begin::Target => {
                        for (row, sums) in sums.iter_mut().enumerate() {
                            *sums = exactly::<S, 2>(&target[row * outputs + from(panel)..][..2 * S::F32_LANES]);
                        }
                    }
                }
            }
            for part in parts {
                let rows: [&[f32]; R] = std::array::from_fn(|row| part.row(first + row));
                let panels: [&[Lanes]; P] =
                    std::array::from_fn(|panel| &panels.values[(index + panel) * inner + part.inner..][..part.width]);
                chains(simd, rows, (panels, lane), &mut sums);
            }
            for (panel, sums) in sums.iter().enumerate() {
                for (row, sums) in sums.iter().enumerate() {
                    write::<S, 2>(sums, &mut target[row * outputs + from(panel)..][..2 * S::F32_LANES]);
                }
            }
        }
    }
    some_rows::<S, R>(simd, (first, whole), parts, (panels, begin), target);
}

/// Adds the products of a panel's rows, in their order, from `lane` on.
#[inline(always)]
pub(crate) fn chain<S: Simd, const R: usize, const H: usize>(
    simd: S,
    rows: [&[f32]; R],
    (panel, lane): (&[Lanes], usize),
    sums: &mut Sums<S, R, H>,
) {
    let rows: [&[f32]; R] = std::array::from_fn(|row| &rows[row][..panel.len()]);
    let mut own = *sums;
    for (k, outputs) in panel.iter().enumerate() {
        let outputs = registers::<S, H>(outputs, lane);
        for row in 0..R {
            let input = simd.splat_f32s(rows[row][k]);
            for half in 0..H {
                own[row][half] = simd.mul_add_f32s(input, outputs[half], own[row][half]);
            }
        }
    }
    *sums = own;
}

/// The same for `P` panels side by side.
#[inline(always)]
fn chains<S: Simd, const R: usize, const P: usize>(
    simd: S,
    rows: [&[f32]; R],
    (panels, lane): ([&[Lanes]; P], usize),
    sums: &mut [Sums<S, R, 2>; P],
) {
    let length = panels[0].len();
    let rows: [&[f32]; R] = std::array::from_fn(|row| &rows[row][..length]);
    let panels: [&[Lanes]; P] = std::array::from_fn(|panel| &panels[panel][..length]);
    let mut own = *sums;
    for k in 0..length {
        let mut outputs = [[simd.splat_f32s(0.0); 2]; P];
        for panel in 0..P {
            outputs[panel] = registers::<S, 2>(&panels[panel][k], lane);
        }
        for row in 0..R {
            let input = simd.splat_f32s(rows[row][k]);
            for panel in 0..P {
                for half in 0..2 {
                    own[panel][row][half] = simd.mul_add_f32s(input, outputs[panel][half], own[panel][row][half]);
                }
            }
        }
    }
    *sums = own;
}

/// `H` registers of lanes, from `lane` on.
#[inline(always)]
pub(crate) fn registers<S: Simd, const H: usize>(lanes: &Lanes, lane: usize) -> [S::f32s; H] {
    exactly::<S, H>(&lanes.0[lane..lane + H * S::F32_LANES])
}

/// Closures of the standard library's array functions are not always inlined, and then lose the CPU's vectors: copies and
/// loops are.
#[inline(always)]
fn exactly<S: Simd, const H: usize>(values: &[f32]) -> [S::f32s; H] {
    *S::as_simd_f32s(values).0.first_chunk().expect("as many registers as the slice was cut for")
}

/// `H` registers of a slice, zeros behind its end.
#[inline(always)]
pub(crate) fn read<S: Simd, const H: usize>(simd: S, values: &[f32]) -> [S::f32s; H] {
    if values.len() == H * S::F32_LANES {
        return exactly::<S, H>(values);
    }
    let mut registers = [simd.splat_f32s(0.0); H];
    for (register, values) in registers.iter_mut().zip(values.chunks(S::F32_LANES)) {
        *register = simd.partial_load_f32s(values);
    }
    registers
}

/// `H` registers into a slice, as far as it reaches.
#[inline(always)]
pub(crate) fn write<S: Simd, const H: usize>(sums: &[S::f32s; H], values: &mut [f32]) {
    let flat: &[f32] = pulp::bytemuck::cast_slice(sums);
    values.copy_from_slice(&flat[..values.len()]);
}

#[cfg(test)]
mod tests;
