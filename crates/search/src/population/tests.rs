//! Who copies whom, and how points change.

use super::*;
use crate::cases::{axis, branches, key, real, whole};
use crate::qmc;

fn members(space: &Space) -> Vec<Member> {
    (0..10)
        .map(|trial| Member { trial, point: qmc::point(space, &key(1), trial), value: f64::from((trial * 7) % 10) })
        .collect()
}

#[test]
fn the_worst_fifth_copies_the_best_fifth() {
    let space = branches();
    let mut members = members(&space);
    // A tie with trial 4, of which the lower index counts as the better.
    members[1].value = 8.0;
    let steps = Population::default().steps(&space, &members, &key(2), 3);
    for (member, step) in members.iter().zip(&steps) {
        match step {
            Step::Keep => assert!(member.value < 8.0 || member.trial == 1),
            Step::Copy { from, point } => {
                assert!(member.value >= 8.0);
                assert!([0, 3].contains(from), "trials 0 and 3 have values 0 and 1, not {from}");
                assert!(space.contains(point));
            }
        }
    }
    assert_eq!(steps, Population::default().steps(&space, &members, &key(2), 3));
    assert_ne!(steps, Population::default().steps(&space, &members, &key(2), 4));
    let mut turned = members;
    turned.reverse();
    let mut other = Population::default().steps(&space, &turned, &key(2), 3);
    other.reverse();
    assert_eq!(steps, other, "the order of members says nothing");
}

#[test]
fn values_that_are_no_numbers_are_the_worst_and_teach_nobody() {
    let space = branches();
    let mut members = members(&space);
    members[0].value = f64::NAN;
    members[3].value = f64::NEG_INFINITY;
    let steps = Population::default().steps(&space, &members, &key(2), 0);
    let copies: Vec<usize> = (0..10).filter(|place| steps[*place] != Step::Keep).collect();
    assert_eq!(copies, [0, 3]);
    members.iter_mut().for_each(|member| member.value = f64::NAN);
    assert_eq!(Population::default().steps(&space, &members, &key(2), 0), vec![Step::Keep; 10]);
}

#[test]
fn numbers_are_multiplied_and_stay_inside() {
    let space = Space::new(vec![axis("x", real(1.0, 10.0)), axis("n", whole(1, 100))]).unwrap();
    let calm = Population { resampled: 0.0, ..Population::default() };
    let mut draws = Draws::new(&key(1), Use::Population, 0);
    let from = Point(vec![Some(Value::Real(9.0)), Some(Value::Integer(2))]);
    for _ in 0..50 {
        let Point(values) = calm.explore(&space, &from, &mut draws);
        assert!([Some(Value::Real(9.0 * 0.8)), Some(Value::Real(10.0))].contains(&values[0]), "{values:?}");
        assert!([Some(Value::Integer(1)), Some(Value::Integer(3))].contains(&values[1]), "{values:?}");
    }
}
