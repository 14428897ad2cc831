//! Products are held to their definition: one chain of fused multiply-adds for each output.

use super::*;
use crate::Vectors;
use proptest::prelude::*;

/// Values whose products round, so that the order of sums shows.
fn values(count: usize, seed: usize) -> Vec<f32> {
    (0..count).map(|index| ((index * 7 + seed * 13) % 29) as f32 / 7.0 - 2.0).collect()
}

/// The product as its definition has it: one chain of fused multiply-adds for each output.
fn chained((first, second): (&[f32], &[f32]), matrix: &[f32], begin: &[f32], sizes: [usize; 4]) -> Vec<f32> {
    let [rows, left, right, outputs] = sizes;
    let mut target = begin.to_vec();
    for row in 0..rows {
        let inputs = first[row * left..(row + 1) * left].iter().chain(&second[row * right..(row + 1) * right]);
        for (inner, input) in inputs.enumerate() {
            for output in 0..outputs {
                let sum = &mut target[row * outputs + output];
                *sum = input.mul_add(matrix[inner * outputs + output], *sum);
            }
        }
    }
    target
}

proptest! {
    /// Few rows take several panels at once, many take one; the last panel may be half empty.
    #[test]
    fn an_output_is_one_chain_of_multiply_adds_whatever_is_computed_beside_it(
        rows in 1_usize..=18, left in 1_usize..=5, right in 1_usize..=37, outputs in 1_usize..=300, begin in 0..3,
    ) {
        let (first, second) = (values(rows * left, 1), values(rows * right, 2));
        let matrix = values((left + right) * outputs, 3);
        let mut panels = Panels::new(left + right, outputs);
        panels.pack(&matrix, (0, 0), (left + right, outputs), (outputs, 1));
        let (bias, before) = (values(outputs, 4), values(rows * outputs, 5));
        let (begin, begun) = match begin {
            0 => (Begin::Zero, vec![0.0; rows * outputs]),
            1 => (Begin::Bias(&bias), bias.repeat(rows)),
            _ => (Begin::Target, before.clone()),
        };
        let expected = chained((&first, &second), &matrix, &begun, [rows, left, right, outputs]);
        for vectors in [Some(Vectors::default()), Vectors::avx2()].into_iter().flatten() {
            let mut target = before.clone();
            let parts = [Part::new(&first, left, 0), Part::new(&second, right, left)];
            vectors.run(Product { rows, parts: &parts, panels: &panels, begin, target: &mut target });
            prop_assert_eq!(&target, &expected);
        }
    }
}
