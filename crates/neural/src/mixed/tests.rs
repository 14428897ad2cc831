//! Tiles, vectors of both widths, and the definition written out: the same bits.

use proptest::prelude::*;

use super::*;

/// Some of every size; every seventh is tiny, and some are zero.
fn values(count: usize, salt: u32) -> Vec<f32> {
    let value = |index: usize| {
        let at = index as f32 + salt as f32 * 0.37;
        let scale = [1.0, 40.0, 1e-3, 1.0, 1e-12, 1e-18, 1.0][index % 7];
        if (index + salt as usize).is_multiple_of(11) { 0.0 } else { scale * (at * at * 0.7).sin() }
    };
    (0..count).map(value).collect()
}

/// The value that a word's half stands for.
fn said(value: f32) -> f32 {
    f32::from_bits(rounded(value) << 16)
}

/// One output, as the module says.
fn written_out(row: &[f32], column: &[f32]) -> f32 {
    let mut sum = 0.0_f32;
    for (row, column) in row.chunks(DEPTH).zip(column.chunks(DEPTH)) {
        let chain = |first: usize| {
            let pairs = row.iter().zip(column).skip(first).step_by(2);
            pairs.fold(0.0_f32, |sum, (a, b)| said(*a).mul_add(said(*b), sum))
        };
        sum += chain(0) + chain(1);
    }
    sum
}

struct Case {
    rows: usize,
    inner: usize,
    outputs: usize,
    left: Vec<f32>,
    right: Vec<f32>,
}

impl Case {
    fn product(&self, begin: Begin<'_>, run: impl Fn(MixedProduct<'_>)) -> Vec<f32> {
        let Self { rows, inner, outputs, left, right } = self;
        let row = words(*inner);
        // As many words behind the last row as a tile may read.
        let mut strips = vec![0x7fc0_7fc0; (rows + BLOCK) * row];
        for (to, from) in strips.chunks_exact_mut(row).zip(left.chunks_exact(*inner)) {
            to.fill(0);
            pair_up(from, to);
        }
        let mut panels = MixedPanels::new(row / PAIRS, *outputs);
        panels.pack(right, 0, (*inner, *outputs), (*outputs, 1));
        let mut target = vec![0.25; rows * outputs];
        let strips = Strips { values: &strips, row, tile: PAIRS };
        run(MixedProduct { rows: *rows, strips, panels: &panels, begin, target: &mut target });
        target
    }
}

proptest! {
    #[test]
    fn tiles_and_vectors_of_both_widths_give_the_bits_of_the_definition(
        rows in 1_usize..70, inner in 1_usize..130, outputs in 1_usize..70, salt in 0_u32..1_000, begin in 0_u8..3,
    ) {
        let case = Case { rows, inner, outputs, left: values(rows * inner, salt), right: values(inner * outputs, salt + 7) };
        let bias = values(outputs, salt + 3);
        let begin = [Begin::Zero, Begin::Bias(&bias), Begin::Target][usize::from(begin)];
        let widest = Vectors::default();
        let target = case.product(begin, |product| product.run_by(widest, None));
        for row in 0..rows {
            for output in 0..outputs {
                let column: Vec<f32> = (0..inner).map(|at| case.right[at * outputs + output]).collect();
                let sum = written_out(&case.left[row * inner..][..inner], &column);
                let wanted = match begin {
                    Begin::Zero => sum,
                    Begin::Bias(bias) => bias[output] + sum,
                    Begin::Target => 0.25 + sum,
                };
                prop_assert_eq!(target[row * outputs + output].to_bits(), wanted.to_bits());
            }
        }
        prop_assert_eq!(&case.product(begin, |product| product.run(widest)), &target);
        #[cfg(target_arch = "x86_64")]
        if let Some(narrow) = Vectors::avx2() {
            prop_assert_eq!(&case.product(begin, |product| product.run(narrow)), &target);
        }
    }

    #[test]
    fn rows_that_are_turned_are_the_columns_of_a_gradient(rows in 1_usize..33, inner in 1_usize..70, outputs in 1_usize..70) {
        let (left, right) = (values(rows * inner, 1), values(rows * outputs, 2));
        let row = words(inner);
        let mut strips = vec![0; rows * row];
        strips.chunks_exact_mut(row).zip(left.chunks_exact(inner)).for_each(|(to, from)| pair_up(from, to));
        let mut across = vec![u32::MAX; 2 * row * PAIRS];
        turned(&strips, row, &mut across);
        let mut panels = MixedPanels::new(1, outputs);
        // What stood there before does not stay: not even what no zero takes away.
        panels.take_rows(0, &vec![f32::NAN; BLOCK * outputs]);
        panels.take_rows(0, &right);
        let mut target = vec![0.0; 2 * row * outputs];
        let strips = Strips { values: &across, row: PAIRS, tile: 2 * row * PAIRS };
        let product = MixedProduct { rows: 2 * row, strips, panels: &panels, begin: Begin::Zero, target: &mut target };
        product.run(Vectors::default());
        let column = |values: &[f32], width: usize, at: usize| values.iter().skip(at).step_by(width).copied().collect::<Vec<_>>();
        for at in 0..2 * row {
            for output in 0..outputs {
                let wanted = if at < inner { written_out(&column(&left, inner, at), &column(&right, outputs, output)) } else { 0.0 };
                prop_assert_eq!(target[at * outputs + output].to_bits(), wanted.to_bits());
            }
        }
    }
}

#[test]
fn a_value_is_rounded_to_the_nearest_ties_to_even_and_what_is_tiny_to_zero() {
    let one = |bits: u32| f32::from_bits(0x3f80_0000 + bits);
    assert_eq!(said(1.0), 1.0);
    assert_eq!([said(one(0x7fff)), said(one(0x8000)), said(one(0x8001))], [1.0, 1.0, one(0x1_0000)]);
    assert_eq!(said(one(0x1_8000)), one(0x2_0000));
    assert_eq!(said(-one(0x8001)), -one(0x1_0000));
    assert_eq!(
        [said(f32::INFINITY), said(f32::MAX), said(f32::MIN)],
        [f32::INFINITY, f32::INFINITY, f32::NEG_INFINITY]
    );
    assert!(
        [f32::NAN, -f32::NAN, f32::from_bits(0x7f80_0001), f32::from_bits(u32::MAX)]
            .map(said)
            .iter()
            .all(|x| x.is_nan())
    );
    let smallest = 2.0_f32.powi(-54);
    assert_eq!([smallest, -smallest, smallest * 0.999, 1e-40, -0.0].map(said), [smallest, -smallest, 0.0, 0.0, 0.0]);
}
